"""What runs the server elsewhere: a systemd unit and a Dockerfile, as text."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version

from reslab.ship.folder import is_exported, read_config
from reslab.ship.serve.servable import Place
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import SPARE
from reslab.version import __version__

# What serving exported folders imports, less torch, which pip would install with reslab itself.
PACKAGES = ("numpy", "msgspec", "cyclopts", "rich", "starlette", "uvicorn", "python-multipart", "prometheus-client")
ENGINES = {"openvino": ("openvino",), "onnx": ("onnxruntime",), "torch": ("safetensors",)}
KINDS = {"images": ("pillow",), "questions": ("tokenizers",), "tables": ("safetensors", "scipy")}
FLAGS = {one.name: one.default for one in fields(Settings) if one.name not in ("host", "port", "token")}
NAMES = {"hosts": "allow-host"}


WITH_TORCH = """\
# Runs and folders for torch need it; this is its build for CPUs alone.
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu \\
 && pip install --no-cache-dir "${RESLAB}" PINNED"""
WITHOUT_TORCH = """\
# These folders need no torch. pip would install it with reslab, which names it as required: --no-deps keeps it out,
# and the packages that are needed are named instead.
RUN pip install --no-cache-dir PINNED \\
 && pip install --no-cache-dir --no-deps "${RESLAB}\""""


def words(found: Sequence[Place], settings: Settings) -> list[str]:
    """The words after `reslab serve`: absolute folders, and the options that differ from the defaults."""
    made = [f"{where.name}={where.folder.resolve()}" for where in found]
    made += ["--host", settings.host, "--port", str(settings.port)]
    for name, default in FLAGS.items():
        value = getattr(settings, name)
        if value != default:
            made.append(f"--{NAMES.get(name, name).replace('_', '-')}")
            made += value if isinstance(value, tuple) else [f"{value:g}" if type(value) is float else str(value)]
    return made


def unit(found: Sequence[Place], settings: Settings) -> str:
    """The systemd unit of a server. It holds no token."""
    command = " ".join(map(quoted, [sys.executable, "-m", "reslab", "serve", *words(found, settings)]))
    low = 0 < settings.port < 1024
    stop = math.ceil(settings.stop_seconds + SPARE + 5)
    return f"""\
# /etc/systemd/system/reslab-serve.service; then: systemctl daemon-reload; systemctl enable --now reslab-serve
[Unit]
Description=reslab serve: {", ".join(where.name for where in found).replace("%", "%%")}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# A token goes into this file, readable by root alone: RESLAB_TOKEN=...
EnvironmentFile=-/etc/reslab-serve.env
Restart=on-failure
RestartSec=2
# Accepted requests are finished within {settings.stop_seconds:g} s after SIGTERM.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec={stop}

# A user that exists only while the server runs: it must be able to read the folders above and this Python.
DynamicUser=yes
CacheDirectory=reslab-serve
Environment=XDG_CACHE_HOME=%C/reslab-serve XDG_STATE_HOME=%C/reslab-serve PYTHONDONTWRITEBYTECODE=1
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet={"CAP_NET_BIND_SERVICE" if low else ""}
AmbientCapabilities={"CAP_NET_BIND_SERVICE" if low else ""}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
# Remove this line for a run in torch on a GPU.
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# No MemoryDenyWriteExecute: the engines compile machine code while they run.

[Install]
WantedBy=multi-user.target
"""


def quoted(word: str) -> str:
    """A word of ExecStart: systemd's specifiers and variables are escaped, and it is quoted if it must be."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = word and not any(mark.isspace() or mark in "\"'\\;#" for mark in word)
    return escaped if plain else f'"{escaped}"'


def dockerfile(found: Sequence[Place], settings: Settings) -> str:
    """A Dockerfile of a server. Its context holds each folder as models/NAME."""
    exports = [read_config(where.folder) for where in found if is_exported(where.folder)]
    live = len(exports) < len(found)
    needed = dict.fromkeys(PACKAGES)
    for one in exports:
        needed |= dict.fromkeys((*ENGINES[one.engine], *KINDS[one.kind]))
    torch = live or any(one.engine == "torch" for one in exports)
    install = (WITH_TORCH if torch else WITHOUT_TORCH).replace("PINNED", " ".join(map(pin, needed)))
    folders = "\n".join(f"COPY models/{where.name} /models/{where.name}" for where in found)
    command = [f"/models/{where.name}" if where.name == where.folder.name else f"{where.name}=/models/{where.name}"
               for where in found]  # fmt: skip
    rest = words([], settings)
    rest[rest.index("--host") + 1] = "0.0.0.0"
    check = ("import urllib.request as r; "
             f"r.urlopen('http://127.0.0.1:{settings.port}/v2/health/ready', timeout=4)")  # fmt: skip
    copies = "\n".join(f"#   mkdir -p models && cp -rL {where.folder.resolve()} models/{where.name}" for where in found)
    return f"""\
# Beside this file:
{copies}
#   pip wheel --no-deps -w . RESLAB_SOURCE      (unless this version of reslab is on your package index)
#   docker build -t reslab-serve .
#   docker run --rm -p 127.0.0.1:{settings.port}:{settings.port} -e RESLAB_TOKEN=... --read-only --tmpfs /tmp \\
#     --cap-drop ALL --security-opt no-new-privileges reslab-serve
# Stop it with `docker stop -t {math.ceil(settings.stop_seconds + SPARE)}`: accepted requests are finished first.
FROM python:{sys.version_info[0]}.{sys.version_info[1]}-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 XDG_CACHE_HOME=/tmp XDG_STATE_HOME=/tmp
# Or a wheel: --build-arg RESLAB=/build/reslab-{__version__}-py3-none-any.whl
ARG RESLAB="reslab=={__version__}"
COPY Dockerfile *.whl /build/
{install} \\
 && rm -rf /build
{folders}
RUN useradd --system --uid 10001 --no-create-home reslab && chmod -R a+rX /models
USER 10001
WORKDIR /models
EXPOSE {settings.port}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \\
  CMD {json.dumps(["python", "-c", check])}
ENTRYPOINT ["python", "-m", "reslab", "serve"]
CMD {json.dumps([*command, *rest])}
"""


def pin(package: str) -> str:
    """The package in the version that is installed here, without the mark of a build (+cpu)."""
    try:
        return f"{package}=={version(package).partition('+')[0]}"
    except PackageNotFoundError:
        return package
