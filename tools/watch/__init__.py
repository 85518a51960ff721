"""CloudWatch's reading of our metrics, as far as the template's alarms and widgets use it. AWS itself is not asked.

Public: `Samples`, `Alarm`, `evaluate`.
"""
