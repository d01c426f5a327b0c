"""The exceptions a user may meet.

```
PasserbyError
├── ConfigError          a recipe or an override is wrong
├── SchemaError          attributes do not fit together
├── DataError            anything about data on disk
│   ├── FormatError      a data set's own files are not as published
│   ├── ManifestError    a manifest is damaged or does not fit
│   └── ImageError       one picture cannot be read
├── ModelError           a model cannot be built or was called wrongly
├── BundleError          a bundle is damaged, tampered with or of another kind
└── TrainingError        a run cannot start, go on or be resumed
```

Every message says what was expected, what came and how to mend it. The command line prints the message
alone; from Python each is an ordinary exception, and all derive from `PasserbyError`.
"""


class PasserbyError(Exception):
    """Base of every error that a user of passerby can mend."""


class ConfigError(PasserbyError):
    """A recipe or an override is wrong."""


class SchemaError(PasserbyError):
    """Attributes do not fit together."""


class DataError(PasserbyError):
    """Something about data on disk is wrong."""


class FormatError(DataError):
    """A data set's own files are not as published."""


class ManifestError(DataError):
    """A manifest is damaged or does not fit."""


class ImageError(DataError):
    """One picture cannot be read."""


class ModelError(PasserbyError):
    """A model cannot be built or was called wrongly."""


class BundleError(PasserbyError):
    """A bundle is damaged, tampered with or of another kind."""


class TrainingError(PasserbyError):
    """A training run cannot start, go on or be resumed."""
