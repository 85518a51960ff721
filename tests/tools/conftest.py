"""These tests see no AWS account and reach nothing but this machine."""

from tests.fakes.isolation import nobody_s_account

__all__ = ["nobody_s_account"]
