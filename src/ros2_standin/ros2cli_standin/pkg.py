"""``ros2 pkg``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_packages_with_prefixes,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    verbs = parser.add_subparsers(title="Commands", metavar="<verb>")
    verb = verbs.add_parser("list", help="Output a list of available packages")
    verb.set_defaults(main=_list)
    verb = verbs.add_parser("prefix", help="Output the prefix path of a package")
    verb.add_argument("package_name", help="The package name")
    verb.add_argument("--share", action="store_true", help="Show its share directory")
    verb.set_defaults(main=_prefix)
    verb = verbs.add_parser("executables", help="Output a list of package specific executables")
    verb.add_argument("package_name", nargs="?", help="The package name")
    verb.add_argument("--full-path", action="store_true", help="Show the paths")
    verb.set_defaults(main=_executables)


def find_prefix(package: str) -> str:
    """Return where a package is installed.

    Raises:
        RuntimeError: it is not.
    """
    try:
        return get_package_prefix(package)
    except (PackageNotFoundError, ValueError):
        raise RuntimeError(f"Package '{package}' not found") from None


def executables(package: str) -> list[str]:
    """Return the paths of a package's executables."""
    found = []
    for root, folders, files in os.walk(os.path.join(find_prefix(package), "lib", package)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (os.path.join(root, name) for name in files)
        found += [path for path in paths if os.access(path, os.X_OK)]
    return sorted(found)


def _list(args: Namespace) -> None:
    for name in sorted(get_packages_with_prefixes()):
        print(name)


def _prefix(args: Namespace) -> int | str:
    try:
        prefix = find_prefix(args.package_name)
    except RuntimeError:
        return "Package not found"
    print(os.path.join(prefix, "share", args.package_name) if args.share else prefix)
    return 0


def _executables(args: Namespace) -> None:
    names = [args.package_name] if args.package_name else sorted(get_packages_with_prefixes())
    for name in names:
        for path in executables(name):
            print(path if args.full_path else f"{name} {os.path.basename(path)}")
