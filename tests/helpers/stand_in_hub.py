"""A stand-in of the Hugging Face hub's HTTP interface on loopback: repositories, commits, files; it keeps what it is sent."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from checkout import ROOT
from huggingface_hub import constants

TOKEN = "hf_of_the_tests"


class StandInHub:
    """Serves while the body of a ``with`` runs.

    Attributes:
        repos: Name -> ``{"private": bool, "files": {path: bytes}}``, and ``"revisions": {tag: files}`` where there are more.
        cuts: File -> after how many bytes of it the connection is cut, each time in turn.
        refuses: The beginning of a path -> the status that all such requests get, and headers.
        requests: ``"METHOD /path"`` of every request, in order.
        blobs: SHA-256 -> content of the files of weights, which are sent apart from the commit.
    """

    def __init__(self):
        self.repos, self.requests, self.blobs = {}, [], {}
        self.cuts, self.refuses = {}, {}
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def sha(self, name, revision="main"):
        """The commit that a repository stands at."""
        files = self.files(name, revision)
        return hashlib.sha1(json.dumps({path: _oid(content) for path, content in sorted(files.items())}).encode()).hexdigest()

    def files(self, name, revision="main"):
        """What a revision holds, by its tag or its commit; None where there is no such revision."""
        revisions = {"main": self.repos[name]["files"], **self.repos[name].get("revisions", {})}
        if revision in revisions:
            return revisions[revision]
        return next((files for tag, files in revisions.items() if self.sha(name, tag) == revision), None)

    @contextmanager
    def known_here(self, home, token=TOKEN):
        """While the body runs, this process takes this for the hub, and has caches and token of its own."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("HF_")]:
                patch.delenv(name)
            if token:
                patch.setenv("HF_TOKEN", token)
            patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
            patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
            patch.setattr(constants, "ENDPOINT", self.endpoint)
            template = f"{self.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            patch.setattr(constants, "HF_HUB_OFFLINE", False)
            patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
            yield

    def environment(self, home, token=TOKEN):
        """Of a process that takes this for the hub, and has a home of its own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        more = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**kept, **more, "PYTHONPATH": path, **({"HF_TOKEN": token} if token else {})}

    def python(self, home, *arguments, token=TOKEN):
        """Runs a Python that takes this for the hub."""
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment(home, token))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        content = self._content()
        path = self._path()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json({"error": "Invalid credentials"}, 401)
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(content))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = json.loads(content)["files"]
            modes = [{"path": f["path"], "uploadMode": self._mode(f["path"]), "shouldIgnore": False} for f in files]
            return self._json({"files": modes})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(match[1], [json.loads(line) for line in content.splitlines() if line])
        if re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{each['oid']}"}}}
                for each in json.loads(content)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": objects})
        return self._json({"error": "no such thing"}, 404)

    def do_PUT(self):
        content = self._content()
        oid = self._path().removeprefix("/lfs/")
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.blobs[oid] = content
        return self._json({})

    def do_GET(self):
        path = self._path()
        for beginning, (status, headers) in self.hub.refuses.items():
            if path.startswith(beginning):
                return self._json({"error": "no"}, status, headers)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            return self._of_revision(match[1], match[2] or "main", lambda _: self._info(match[1], match[2] or "main"))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            return self._of_revision(match[1], match[2], self._listing)
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._of_revision(match[1], match[2], lambda files: self._file(files, *match.groups()))
        return self._json({"error": "no such thing"}, 404)

    do_HEAD = do_GET

    def _of_revision(self, name, revision, answer):
        if self._repo(name) is None:
            return self._unknown()
        files = self.hub.files(name, revision)
        if files is None:
            return self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        return answer(files)

    def _listing(self, files):
        described = sorted(files.items())
        return self._json([{"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in described])

    def _file(self, files, name, revision, path):
        if path not in files:
            return self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        content = files[path]
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": self.hub.sha(name, revision), "Accept-Ranges": "bytes"}
        first = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if first:
            headers["Content-Range"] = f"bytes {first[1]}-{len(content) - 1}/{len(content)}"
            content = content[int(first[1]) :]
        cut = self.hub.cuts.get(path) if self.command == "GET" else None
        return self._send(content, 206 if first else 200, headers, cut.pop(0) if cut else None)

    def _path(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        return path

    def _content(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _repo(self, name):
        """A repository, if whoever asks may see it."""
        repo = self.hub.repos.get(name)
        may_see = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        return repo if repo is not None and (may_see or not repo["private"]) else None

    def _mode(self, path):
        return "lfs" if path.endswith((".safetensors", ".pth", ".onnx")) else "regular"

    def _create(self, wanted):
        name = f"{wanted['organization']}/{wanted['name']}"
        url = {"url": f"{self.hub.endpoint}/{name}"}
        if name.startswith("others/"):
            return self._json({"error": "You don't have the rights to create a model under the namespace"}, 403)
        if name in self.hub.repos:
            return self._json({**url, "error": "You already created this model repo"}, 409)
        private = wanted.get("visibility") == "private" or wanted.get("private") is True
        self.hub.repos[name] = {"private": private, "files": {}}
        return self._json(url)

    def _commit(self, name, lines):
        files = self.hub.repos[name]["files"]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        sha = self.hub.sha(name)
        return self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{sha}"})

    def _info(self, name, revision):
        siblings = [{"rfilename": path} for path in sorted(self.hub.files(name, revision))]
        about = {"id": name, "private": self._repo(name)["private"], "sha": self.hub.sha(name, revision), "tags": []}
        return self._json({**about, "siblings": siblings})

    def _unknown(self):
        return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _json(self, content, status=200, headers=None):
        return self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content, status, headers, cut=None):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True


def _oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
