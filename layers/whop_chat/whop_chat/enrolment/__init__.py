"""Exactly one Whop user for one Cognito user: create, link, repair, and clean up afterwards.

Public: `Enrolment`, `Link`, `CleanUp`, `Blocked`, `EnrolmentInProgress`, `Denied`.
"""
