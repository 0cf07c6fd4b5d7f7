"""A wheel carries the configurations, which stand at the top of the repository, inside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigs(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree("configs", Path(self.build_lib, "spx", "configs"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithConfigs})
