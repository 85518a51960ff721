"""What ``doctor`` checks. Each module has one function ``check``: a deployment in, its findings out.

A check reads and never writes. If it raises `Refused` or an error of AWS, ``doctor`` says that it was not made.
"""
