"""What all tests share: pytest's own test kit, and Hypothesis without its clock."""

import hypothesis

pytest_plugins = ["pytester"]

hypothesis.settings.register_profile("dlcheck", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("dlcheck")
