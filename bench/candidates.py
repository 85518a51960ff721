"""Who takes part, and how each is started."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import job
from bench.answers import Operation
from bench.function_environment import function_environment
from bench.staging import BUILT, NODE, RUNTIME, Staged
from bench.upstream import Upstream

OURS, EVERYTHING, UNCOMPILED = "this project", "everything included", "the same without bytecode"
NODE_NAME, NOTHING, BARE = "Node", "nothing", "bare calls"

_START = job.ROOT / "bench" / "start_candidate.py"

type Check = Callable[[bytes, bytes], bool]

_TO_MINT = frozenset({Operation.KEYS, Operation.SECRET, Operation.TABLE, Operation.WHOP})
_TO_MINT_BARELY = frozenset({Operation.TABLE, Operation.WHOP})
_TO_ENQUEUE = frozenset({Operation.QUEUE})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function that can be started. ``right`` checks its answer to an event."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    right: Check
    asks: frozenset[Operation]
    """The operations that its first invocation must request. With fewer it would do another job."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates, by measurement."""

    mint_cold: Sequence[Candidate]
    mint_warm: Sequence[Candidate]
    sign_up_cold: Sequence[Candidate]
    sync_start: Candidate
    """Our sync_user, which is only started. No peer does its job."""


def candidates_of(staged: Staged, upstream: Upstream) -> Candidates:
    """All candidates that this machine can start."""
    layer = BUILT / "WhopChatLayer" / "python"
    everything = staged.functions / "everything"
    mint = _Python("MintTokenFunction", upstream, _minted, _TO_MINT)
    sign_up = _Python("OnSignupFunction", upstream, _same, _TO_ENQUEUE)
    ours = mint.candidate(OURS, BUILT / "MintTokenFunction", layer)
    included = mint.candidate(EVERYTHING, everything / "mint_token", staged.compiled_packages)
    uncompiled = mint.candidate(UNCOMPILED, everything / "mint_token", staged.uncompiled_packages)
    node = [_node(staged.node_bundle, upstream)] if staged.node_bundle else []
    bare = _Python("MintTokenFunction", upstream, _minted, _TO_MINT_BARELY).candidate(BARE, staged.functions / "bare")
    nothing = _Python("MintTokenFunction", upstream, _ok, frozenset()).candidate(NOTHING, staged.functions / "nothing")
    return Candidates(
        mint_cold=[ours, included, uncompiled, *node, nothing],
        mint_warm=[ours, included, *node, bare, nothing],
        sign_up_cold=[
            sign_up.candidate(OURS, BUILT / "OnSignupFunction", layer),
            sign_up.candidate(EVERYTHING, everything / "on_signup", staged.compiled_packages),
            nothing,
        ],
        sync_start=_Python("SyncUserFunction", upstream, _same, frozenset()).candidate(
            OURS, BUILT / "SyncUserFunction", layer
        ),
    )


@dataclass(frozen=True, slots=True)
class _Python:
    """Python candidates of one function. The runtime's own packages come last on the path, as on Lambda."""

    function: str
    upstream: Upstream
    right: Check
    asks: frozenset[Operation]

    def candidate(self, name: str, folder: Path, *packages: Path) -> Candidate:
        return Candidate(
            name,
            [str(RUNTIME / "bin" / "python"), "-P", str(_START), "app.handler"],
            folder,
            _environment(self.function, folder, self.upstream)
            | {
                "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
                "BENCH_AUTHORITY": str(self.upstream.authority),
                "BENCH_USER_KEY": f"USER#{job.POOL}#{job.SUB}",
                "BENCH_WHOP_USER": job.WHOP_USER,
                "BENCH_API_KEY": job.API_KEY,
                "PYTHONPATH": os.pathsep.join(map(str, [folder, *packages])),
                "PYTHONDONTWRITEBYTECODE": "1",  # the folders are read-only on Lambda
            },
            self.right,
            self.asks,
        )


def _node(folder: Path, upstream: Upstream) -> Candidate:
    environment = _environment("MintTokenFunction", folder, upstream) | {
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x",
        "NODE_EXTRA_CA_CERTS": str(upstream.authority),
        "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
    }
    command = [shutil.which("node") or "node", str(NODE / "runtime.cjs")]
    return Candidate(NODE_NAME, command, folder, environment, _minted, _TO_MINT)


def _environment(function: str, folder: Path, upstream: Upstream) -> dict[str, str]:
    return function_environment(BUILT / "template.yaml", function) | {
        "BENCH_PORT": str(upstream.port),
        "LAMBDA_TASK_ROOT": str(folder),
        "PATH": os.defpath,
        "HOME": str(folder),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _minted(event: bytes, answer: bytes) -> bool:
    content = json.loads(answer)
    return bool(content["statusCode"] == 200 and json.loads(content["body"])["token"] == job.WHOP_TOKEN)


def _same(event: bytes, answer: bytes) -> bool:
    return bool(json.loads(event) == json.loads(answer))


def _ok(event: bytes, answer: bytes) -> bool:
    return bool(json.loads(answer)["statusCode"] == 200)
