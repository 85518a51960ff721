"""The packages of the layer after the pruning: with all that the functions need, and with their licences."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.template.test_build import ARCHITECTURE
from tests.template.translation import ROOT
from tests.tools.build.test_toolchain import LAYER_LOCK, pins
from tests.unit.runtime.test_partitions import regions
from tools.build.prune import SERVICES, UNUSED_DISTRIBUTIONS
from whop_chat.runtime.partitions import dns_suffix

LAMBDA = ROOT / ".venv" / "lambda" / "bin" / "python"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.devnull}

# Where botocore would send a request of each service, and for what it signs it. Nothing is sent.
ENDPOINTS = """
import boto3, io, json, sys
from botocore.awsrequest import AWSResponse
from botocore.config import Config

class Raw(io.BytesIO):
    def stream(self):
        yield self.read()

def instead_of_sending(request, **_):
    _, _, region, service, _ = request.headers["Authorization"].decode().split(",")[0].split("/")
    found.append([request.url, region, service])
    return AWSResponse(request.url, 200, {}, Raw(b"{}"))

calls = {
    "cognito-idp": lambda client: client.admin_get_user(UserPoolId="pool", Username="user"),
    "dynamodb": lambda client: client.get_item(TableName="table", Key={"pk": {"S": "key"}}),
    "secretsmanager": lambda client: client.get_secret_value(SecretId="secret"),
    "sqs": lambda client: client.get_queue_url(QueueName="queue"),
    "lambda": lambda client: client.invoke(FunctionName="function"),
    "s3": lambda client: client.get_object(Bucket="bucket", Key="key"),
}
found = []
session = boto3.Session()
for region in sys.argv[1:]:
    for service, call in calls.items():
        config = Config(s3={"us_east_1_regional_endpoint": "regional"})
        client = session.client(service, region_name=region, config=config)
        client.meta.events.register("before-send", instead_of_sending)
        call(client)
print(json.dumps(found))
"""

HOSTS = {
    "cognito-idp": "",
    "dynamodb": "",
    "secretsmanager": "",
    "sqs": "",
    "lambda": "2015-03-31/functions/function/invocations",
    "bucket.s3": "key",
}

# The sides of httpx and cryptography that the functions use, without the packages that only their other sides need.
REQUEST_AND_SIGNATURE = """
import http.server, httpx, json, threading
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"there")
    def log_message(self, *_):
        pass

with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server, httpx.Client(trust_env=False) as client:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    text = client.get(f"http://127.0.0.1:{server.server_port}/").text
    server.shutdown()
key = rsa.generate_private_key(65537, 2048)
signature = key.sign(b"message", padding.PKCS1v15(), SHA256())
key.public_key().verify(signature, b"message", padding.PKCS1v15(), SHA256())
sealer = AESGCM(bytes(32))
print(json.dumps([text, sealer.decrypt(bytes(12), sealer.encrypt(bytes(12), b"kept", None), None).decode()]))
"""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, by the command of the makefile; the wheels come from the cache of earlier builds."""
    artifacts = tmp_path_factory.mktemp("artifacts") / "layer"
    command = [f"{sys.base_prefix}/bin/python3.13", "-Es", "-m", "tools.build.build", "layer"]
    command += ["--architecture", ARCHITECTURE, "--artifacts", str(artifacts)]
    subprocess.run(command, cwd=ROOT, check=True)
    return artifacts


def _printed(*command: str, packages: Path | None = None) -> Any:
    environment = CREDENTIALS if packages is None else {**CREDENTIALS, "PYTHONPATH": str(packages)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def pillow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer of Pillow, in the same way."""
    artifacts = tmp_path_factory.mktemp("artifacts") / "pillow"
    command = [f"{sys.base_prefix}/bin/python3.13", "-Es", "-m", "tools.build.build", "packages"]
    command += ["--architecture", ARCHITECTURE, "--artifacts", str(artifacts), "--source", "layers/pillow"]
    subprocess.run(command, cwd=ROOT, check=True)
    return artifacts


def _in_the_layer(layer: Path, script: str, *arguments: str) -> Any:
    """What ``script`` prints when there is nothing but the layer and Python's own library (`-S`)."""
    return _printed(str(LAMBDA), "-S", "-c", script, *arguments, packages=layer / "python")


def test_the_layers_packages_go_before_the_runtimes(layer: Path) -> None:
    """On Lambda as here: /opt/python stands before /var/runtime in the search path.

    https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath
    """
    names = ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six", "jmespath")
    script = f"import {', '.join(names)}, json; print(json.dumps([it.__file__ for it in ({', '.join(names)})]))"

    there = _printed(str(LAMBDA), "-c", script)
    here = _printed(str(LAMBDA), "-c", script, packages=layer / "python")
    assert all(Path(file).is_relative_to(ROOT / ".venv" / "lambda") for file in there)
    assert all(Path(file).is_relative_to(layer / "python") for file in here)


def test_requests_go_where_those_of_an_unpruned_boto3_go(layer: Path) -> None:
    """In every region of every partition that botocore knows."""
    asked = [region for _, region, _ in regions()]
    pruned = _in_the_layer(layer, ENDPOINTS, *asked)

    assert pruned == _printed(sys.executable, "-c", ENDPOINTS, *asked)
    assert pruned == [
        [f"https://{host}.{region}.{dns_suffix(region)}/{path}", region, host.rpartition(".")[2]]
        for region in asked
        for host, path in HOSTS.items()
    ]


def test_another_service_is_not_there(layer: Path) -> None:
    script = "import boto3, json; print(json.dumps(boto3.Session().get_available_services()))"

    assert _in_the_layer(layer, script) == sorted(SERVICES)


def test_httpx_and_cryptography_work_without_what_was_removed(layer: Path) -> None:
    assert _in_the_layer(layer, REQUEST_AND_SIGNATURE) == ["there", "kept"]


def test_every_module_of_the_package_finds_what_it_imports(layer: Path, pillow: Path) -> None:
    """Those that decode pictures find it in the layer of Pillow, which one function has besides."""
    folder = layer / "python" / "whop_chat"
    files = [path.relative_to(folder.parent).with_suffix("") for path in folder.rglob("*.py")]
    modules = sorted(".".join(file.parts).removesuffix(".__init__") for file in files)
    script = (
        "import importlib, json, sys; print(json.dumps([importlib.import_module(it).__name__ for it in sys.argv[1:]]))"
    )

    both = Path(os.pathsep.join([str(layer / "python"), str(pillow / "python")]))
    assert _printed(str(LAMBDA), "-S", "-c", script, *modules, packages=both) == modules
    decoding = [it for it in modules if ".pictures" in it and _missing(layer, it)]
    assert decoding == ["whop_chat.pictures.fetch", "whop_chat.pictures.image"]


def _missing(layer: Path, module: str) -> bool:
    """Whether a module of ours does not find what it imports with the layer alone."""
    environment = {**CREDENTIALS, "PYTHONPATH": str(layer / "python")}
    command = [str(LAMBDA), "-S", "-c", f"import {module}"]
    return b"No module named 'PIL'" in subprocess.run(command, env=environment, capture_output=True, check=False).stderr


def test_pillow_is_a_layer_of_its_own_with_its_licence(pillow: Path) -> None:
    assert {path.name.partition("-")[0] for path in (pillow / "python").iterdir()} == {"PIL", "pillow", "pillow.libs"}
    assert [path for path in (pillow / "python").glob("*.dist-info/licenses/LICENSE*") if path.stat().st_size]
    assert list((pillow / "python" / "PIL" / "__pycache__").iterdir())


def test_every_package_of_the_lock_is_there_with_its_licence(layer: Path) -> None:
    """A wheel without a licence file fails here: its licence then has to be added by the build."""
    found = {
        re.sub(r"[-_.]+", "-", folder.name.partition("-")[0]).lower(): [
            path
            for path in folder.rglob("*")
            if re.match("licen[cs]e|copying", path.name, re.IGNORECASE) and path.is_file() and path.stat().st_size
        ]
        for folder in (layer / "python").glob("*.dist-info")
    }

    assert found.keys() == pins(LAYER_LOCK).keys() - set(UNUSED_DISTRIBUTIONS)
    assert [name for name, licences in found.items() if not licences] == []


def test_notices_travel_with_the_licences(layer: Path) -> None:
    """Apache 2.0, section 4 (d): who passes a work on passes its NOTICE file on."""
    assert {path.parent.name.partition("-")[0] for path in (layer / "python").glob("*.dist-info/NOTICE*")} == {
        *("boto3", "botocore", "s3transfer")
    }


def test_amazons_roots_are_a_directory_of_their_own(layer: Path) -> None:
    aws, mozilla = (
        {path.name: path.read_text() for path in (layer / "ca-certificates" / name).iterdir()}
        for name in ("aws", "mozilla")
    )

    assert len(aws) == 5
    assert aws.items() < mozilla.items()
