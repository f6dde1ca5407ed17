"""Published corpora. The promise: a part of the kind ``corpus`` is a function ``rows(root) -> Iterator[Row]`` over the recordings
of a folder in the layout that the corpus is published in, in a fixed order. It reads names and lists, and opens no recording.

A recording whose path does not fit the layout comes with the speaker None; noise has the speaker "". Columns beside the speaker
go by the names of docs/formats.md (``gender`` f or m, ``lang``, ``session``, ``split``) where they fit; an unknown one is empty.

In a corpus of mixtures a row is a mixture with the speaker "", and its columns ``s1``, ``s2`` ... and ``noise`` name the
recordings of its sources as `Row.name` does. An absent source is empty. ``s1_speaker``, ``s2_speaker`` ... tell who speaks.
"""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
