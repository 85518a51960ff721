"""A month's bill of AWS: `make costs ARGS="--users 40000 --page-loads 5"`.

`prices.json` has the prices with a date and their pages. `stack` reads from the template and from the figures of
`make memory` what an invocation costs, `usage` counts what a month uses, and `bill` multiplies.
"""
