"""The exceptions of the package.

```
PasserbyError
├── ConfigError          a recipe or an override is wrong
├── SchemaError          attributes are incompatible
│   └── UnknownAttributeError   there is no attribute of a name; also a KeyError
├── DataError            anything about data on disk
│   ├── FormatError      a data set's own files are not as published
│   ├── ManifestError    a manifest is damaged or incompatible
│   └── ImageError       an image cannot be read
├── ModelError           a model cannot be created, or its input is invalid
├── BundleError          a bundle is damaged, modified or of another kind
└── TrainingError        a training run cannot start, continue or be resumed
```

Every message states what was expected, what was found and how to fix it. The command line prints only the
message; in Python, all are subclasses of `PasserbyError`.
"""


class PasserbyError(Exception):
    """Base class of all errors that a user of passerby can fix."""


class ConfigError(PasserbyError):
    """A recipe or an override is wrong."""


class SchemaError(PasserbyError):
    """Attributes are incompatible."""


class UnknownAttributeError(SchemaError, KeyError):
    """There is no attribute of a name; also a `KeyError`, as predictions are mappings."""

    __str__ = Exception.__str__  # a KeyError prints its message in quotation marks


class DataError(PasserbyError):
    """Something about data on disk is wrong."""


class FormatError(DataError):
    """A data set's own files are not as published."""


class ManifestError(DataError):
    """A manifest is damaged or incompatible."""


class ImageError(DataError):
    """An image cannot be read."""


class ModelError(PasserbyError):
    """A model cannot be created, or its input is invalid."""


class BundleError(PasserbyError):
    """A bundle is damaged, modified or of another kind."""


class TrainingError(PasserbyError):
    """A training run cannot start, continue or be resumed."""
