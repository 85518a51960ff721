"""AWS's partitions, held to the data of botocore."""

import pytest
from botocore.loaders import create_loader

from whop_chat.runtime.partitions import aws_roots, dns_suffix


def regions() -> list[tuple[str, str, str]]:
    """Partition, region and domain of every region that botocore knows."""
    return [
        (partition["id"], region, partition["outputs"]["dnsSuffix"])
        for partition in create_loader().load_data("partitions")["partitions"]
        for region in partition["regions"]
        if not region.endswith("-global")
    ]


@pytest.mark.parametrize(("partition", "region", "suffix"), regions())
def test_a_region_has_the_domain_of_its_partition(partition: str, region: str, suffix: str) -> None:
    assert dns_suffix(region) == suffix


@pytest.mark.parametrize(("partition", "region", "suffix"), regions())
def test_amazons_roots_are_for_the_partition_aws_alone(partition: str, region: str, suffix: str) -> None:
    assert aws_roots(region) == ("aws" if partition == "aws" else "mozilla")


def test_every_partition_of_botocore_is_among_these() -> None:
    assert {partition for partition, _, _ in regions()} == {
        *("aws", "aws-cn", "aws-eusc", "aws-us-gov"),
        *("aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"),
    }
