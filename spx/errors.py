"""What a user gave and can't be used: one short message that names the thing, the value and what to do."""


class SpxError(ValueError):
    """Base of all errors that `spx` raises about its input. The command line prints the message and exits with 2."""


class DatasetError(SpxError):
    """A dataset is unknown, incomplete, damaged or inconsistent."""


class ArtifactError(SpxError):
    """A hand-over artifact is missing, damaged, of another version, or was made for another graph or split."""


class ConfigError(SpxError):
    """A setting, or a combination of settings, can't be used."""
