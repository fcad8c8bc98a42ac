"""The pictures of the recorded table: a fixed part of the training pictures, the whole validation split."""

from dataclasses import replace

import pandas as pd

from search.data.table import DataSet
from search.digests import digest_of
from search.errors import DataError


def some_pictures(data: DataSet, n_train: int) -> DataSet:
    """Keep some training pictures, as many of each class, and all for validation; drop the test split.

    Those with the lowest content hashes are kept, so the choice hangs on no path and on no other picture.

    Raises:
        DataError: A class has too few training pictures.
    """
    n_each = n_train // len(data.classes)
    train = data.table[data.table["split"] == "train"]
    _refuse_too_few(train, n_each)
    kept = train.groupby("label").head(n_each).index
    table = data.table[data.table.index.isin(kept) | (data.table["split"] == "validation")]
    rows = table[["content", "label", "split"]].to_numpy().tolist()
    return replace(data, table=table.reset_index(drop=True), fingerprint=digest_of({"rows": rows}))


def _refuse_too_few(train: pd.DataFrame, n_each: int) -> None:
    fewest = int(train["label"].value_counts().min())
    if not 1 <= n_each <= fewest:
        raise DataError(
            f"--pictures asks for {n_each} training pictures a class, and a class has {fewest}; "
            "take a number from 1 a class to that."
        )
