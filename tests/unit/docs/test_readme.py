"""README.md lists the parameters of the template; the two are compared here."""

import re

from tests.fakes.source_tree import ROOT
from tests.template.translation import template

README = (ROOT / "README.md").read_text()


def test_the_parameters_and_defaults_are_those_of_the_template() -> None:
    section = README.partition("## Parameters\n")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    parameters = template()["Parameters"]

    assert {name: value.strip("`") for name, value in listed.items()} == {
        name: str(each.get("Default", "required")) or "empty" for name, each in parameters.items()
    }
