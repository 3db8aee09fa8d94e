"""Which source files clang-tidy has found nothing in already: what it would see of them is the same as it was then."""

import functools
import hashlib
import json
import re
import subprocess

import trees


class Tidied:
    """The files of a build in `build` of the sources in `source`."""

    def __init__(self, source, build):
        self._source = source
        self._commands = {entry["file"]: entry["command"] for entry in json.loads((build / "compile_commands.json").read_text())}
        self._build = build
        self._cache = trees.cache() / "tidied"
        self._cache.mkdir(parents=True, exist_ok=True)
        self._outside = self._what_is_outside()

    def to_do(self, folders):
        """The files in these folders that are to be looked at, and what to remember() of each when that is done."""
        found = {}
        for file, command in self._commands.items():
            path = (self._build / file).resolve()
            if path.is_relative_to(self._source) and path.relative_to(self._source).parts[0] in folders:
                digest = self._digest(path, command)
                if not (self._cache / digest).exists():
                    found[path] = digest
        return found

    def remember(self, digests):
        for digest in digests:
            (self._cache / digest).touch()

    def _what_is_outside(self):
        """The tool, its settings, and the versions of all that headers come from."""
        packages = subprocess.run(["dpkg-query", "--show", "--showformat=${Package} ${Version}\n"], capture_output=True, text=True,
                                  check=True).stdout
        relevant = re.findall(r"^(?:.*-dev |clang|libclang|libc6|gcc|libstdc).*$", packages, re.MULTILINE)
        return "\n".join([*relevant, (self._source / ".clang-tidy").read_text()])

    def _digest(self, path, command):
        digest = hashlib.sha256(f"{self._outside}\0{command}".encode())
        for each in sorted(self._included_by(path)):
            digest.update(f"\0{each}\0".encode() + each.read_bytes())
        return digest.hexdigest()

    def _included_by(self, path):
        """The file, and all of ours that it includes, and these do; the precompiled headers are included by every one."""
        seen, left = set(), [path, *self._source.glob("*/pch/*.hpp")]
        while left:
            each = left.pop()
            if each not in seen:
                seen.add(each)
                left += self._includes(each)
        return seen

    @functools.cache
    def _includes(self, path):
        names = re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE)
        places = [path.parent, self._source / "lib", self._source / "tools"]
        return [next(place / name for place in places if (place / name).is_file()) for name in names
                if any((place / name).is_file() for place in places)]
