"""Keep the rare right answers when you train a language model with verifiable rewards."""

__version__ = "0.1.0"
