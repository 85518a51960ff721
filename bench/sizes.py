"""The size of each candidate's package."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bench.candidates import EVERYTHING, NODE_NAME, OURS
from bench.staging import BUILT, Staged
from bench.summary import Size

_MIB = 1024 * 1024


def sizes(staged: Staged) -> Mapping[str, Size]:
    """The package of the function that mints, without what the runtime brings (boto3 for the Python peers)."""
    found = {
        OURS: _size(BUILT / "MintTokenFunction", BUILT / "WhopChatLayer"),
        EVERYTHING: _size(staged.functions / "everything" / "mint_token", staged.compiled_packages),
    }
    if staged.node_bundle:
        found[NODE_NAME] = _size(staged.node_bundle)
    return found


def _size(*folders: Path) -> Size:
    unzipped = zipped = 0
    for folder in folders:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                unzipped += path.stat().st_size
                archive.write(path, path.relative_to(folder))
        zipped += packed.tell()
    return Size(unzipped / _MIB, zipped / _MIB)
