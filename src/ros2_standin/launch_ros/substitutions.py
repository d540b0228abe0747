"""Substitutions that find ROS packages and what is in them."""

from __future__ import annotations

import os
import shutil

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch._core import describe_substitutions
from launch.substitutions import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from launch import LaunchContext, SomeSubstitutionsType, Substitution

__all__ = ["ExecutableInPackage", "FindPackagePrefix", "FindPackageShare"]


class FindPackagePrefix(Substitution):
    """The prefix under which a package is installed."""

    def __init__(self, package: SomeSubstitutionsType) -> None:
        self.package = normalize_to_list_of_substitutions(package)

    def find(self, package_name: str) -> str:
        """Return the folder of the package that this substitution stands for."""
        return get_package_prefix(package_name)

    def describe(self) -> str:
        return f"{type(self).__name__}(pkg={describe_substitutions(self.package)})"

    def perform(self, context: LaunchContext) -> str:
        return self.find(perform_substitutions(context, self.package))


class FindPackageShare(FindPackagePrefix):
    """The share folder of a package."""

    def find(self, package_name: str) -> str:
        return get_package_share_directory(package_name)


class ExecutableInPackage(FindPackagePrefix):
    """The path of an executable in lib/PACKAGE."""

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType) -> None:
        super().__init__(package)
        self.executable = normalize_to_list_of_substitutions(executable)

    def describe(self) -> str:
        package, executable = map(describe_substitutions, (self.package, self.executable))
        return f"ExecInPkg(pkg={package}, exec={executable})"

    def perform(self, context: LaunchContext) -> str:
        package = perform_substitutions(context, self.package)
        executable = perform_substitutions(context, self.executable)
        prefix = get_package_prefix(package)
        folder = os.path.join(prefix, "lib", package)
        if not os.path.isdir(folder):
            raise SubstitutionFailure(
                f"package '{package}' found at '{prefix}', but libexec directory '{folder}' "
                "does not exist"
            )
        path = shutil.which(executable, path=folder)
        if path is None:
            raise SubstitutionFailure(
                f"executable '{executable}' not found on the libexec directory '{folder}'"
            )
        return path
