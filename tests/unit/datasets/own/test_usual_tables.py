"""Columns as pandas and other programs leave them in a folder of tables, and what they are read as."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from daily import every_day

from spx.datasets import OwnSettings, data_fingerprint
from spx.datasets.own import read_own
from spx.errors import DatasetError

from .conftest import read
from .samples import IDS, NUM_NODES, NUMBERS, cells, columns, ring, to_parquet, write_csv, write_folder


def write_lines(
    folder: Path, nodes: str, edges: str = "source,target\na,b\nb,c\nc,d\nd,e\ne,f\nf,g\ng,h\nh,a\n"
) -> str:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return str(folder)


def table(*rows: str) -> str:
    return "\n".join(rows) + "\n"


EIGHT = "abcdefgh"


def test_the_word_na_is_no_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ["x", "x", "NA", "n/a", "y", "y", "null", "?"]
    path = write_lines(tmp_path, table("id,label", *map(",".join, zip(EIGHT, words, strict=True))))
    with caplog.at_level(logging.WARNING):
        dataset = read(path, shares=(0.5, 0.25, 0.25))
    assert dataset.class_names == ("x", "y")
    assert dataset.y.tolist() == [0, 0, -1, -1, 1, 1, -1, -1]
    assert "taken as missing (--data.missing sets the words): 'label': 'NA' (1 cell)" in caplog.text
    kept = read(path, missing=("null", "?"), stratify=False, shares=(0.5, 0.25, 0.25))
    assert kept.class_names == ("NA", "n/a", "x", "y")


@pytest.mark.full
def test_missing_words_are_the_same_in_csv_and_parquet(tmp_path: Path) -> None:
    gaps = {
        "label": [" red ", "red", "None", "blue", "blue", "-"] * 5,
        "split": ["train", "val", "NA", "test", "train", " NaN "] * 5,
        "city": ["Rome", "null", "Oslo", "ROME", "-", "?"] * 5,
        "size": ["1", "2", "N/A", "4.5", "", "nan"] * 5,
    }
    path = write_folder(tmp_path, **gaps)
    csv = read(path)
    polars.read_csv(f"{path}/nodes.csv", infer_schema=False).write_parquet(f"{path}/nodes.parquet")
    (tmp_path / "nodes.csv").unlink()
    parquet = read(path)
    assert csv.class_names == parquet.class_names == ("blue", "red")
    assert csv.feature_names == ("size", "size=missing", "city=Oslo", "city=ROME", "city=Rome")
    assert torch.equal(csv.x, parquet.x)
    assert csv.x[:6, 1].tolist() == [0, 0, 1, 0, 1, 1]
    assert [part[:2].tolist() for part in csv.split] == [part[:2].tolist() for part in parquet.split]
    assert csv.split.train[:2].tolist() == [0, 4]
    table = polars.read_parquet(f"{path}/nodes.parquet").with_columns(
        size=polars.Series([1.0, 2.0, None, 4.5, float("nan"), None] * 5)
    )
    table.write_parquet(f"{path}/nodes.parquet")
    assert torch.equal(read(path).x, csv.x), "typed, with NaN and null"


def test_a_node_may_be_called_na(tmp_path: Path) -> None:
    ids = ["NA", "-", *IDS[2:]]
    assert read(write_folder(tmp_path, id=ids)).node_ids.to_list() == ids


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_true_and_spaces_are_alike_in_both_kinds(tmp_path: Path, ending: str) -> None:
    path = write_folder(tmp_path, label=["fraud", "fraud ", " legit"] * 10, on=["True", "true", "FALSE"] * 10)
    if ending == "parquet":
        to_parquet(tmp_path, "nodes")
    dataset = read(path)
    assert dataset.class_names == ("fraud", "legit")
    assert dataset.x[:3, dataset.feature_names.index("on")].tolist() == [1, 1, 0]


@pytest.mark.parametrize("names", ["train_mask,val_mask,test_mask", "Train_Mask,VALID_MASK,Test_mask"])
@pytest.mark.parametrize("words", [("True", "False"), ("1", "0"), ("true", "")])
def test_mask_columns_are_the_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: str, words: tuple[str, str]
) -> None:
    parts = [0, 0, 1, 2, 0, 0, 1, 2]
    rows = [",".join([name, "xxxxyyyy"[place], *(words[part != own] for own in range(3))])
            for place, (name, part) in enumerate(zip(EIGHT, parts, strict=True))]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        dataset = read(write_lines(tmp_path, table(f"id,label,{names}", *rows)))
    assert [part.tolist() for part in dataset.split] == [[0, 1, 4, 5], [2, 6], [3, 7]]
    assert dataset.feature_names is None
    assert "are taken as the split" in caplog.text


def test_masks_of_train_and_test_leave_validation_to_be_drawn(tmp_path: Path) -> None:
    masks = {"train_mask": ["1", "1", "0"] * 10, "test_mask": ["0", "0", "1"] * 10}
    dataset = read(write_folder(tmp_path, **masks))
    assert [part.numel() for part in dataset.split] == [15, 5, 10]
    assert dataset.split.test.tolist() == list(range(2, 30, 3))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"train_mask": "1", "test_mask": "0", "split": "train"},
            "has the column 'split' and 'train_mask', 'test_mask'",
        ),
        ({"train_mask": "1", "val_mask": "0"}, "has 'train_mask', 'val_mask': it needs train_mask and test_mask"),
        ({"train_mask": "1", "test_mask": "0", "val_mask": "0", "valid_mask": "0"}, "once each"),
        ({"train_mask": "1", "test_mask": "0.5"}, "column 'test_mask' holds '0.5': write true or false"),
        ({"split": "held"}, "column 'split' holds 'held': write train, val or test"),
        ({"split": "1"}, "column 'split' holds '1' alone, and it can't be told which parts"),
    ],
)
def test_splits_that_can_not_be_used(tmp_path: Path, refused: Callable, columns: dict[str, str], message: str) -> None:
    refused(write_folder(tmp_path, **{name: cells(rest=word) for name, word in columns.items()}), message)


@every_day("numbers", [("0", "1", "2"), ("0.0", "1.0", "2.0")], 1)
def test_numbers_as_a_split(tmp_path: Path, caplog: pytest.LogCaptureFixture, numbers: tuple[str, ...]) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = read(write_folder(tmp_path, split=[*numbers] * 10))
    assert [part[0].item() for part in dataset.split] == [0, 1, 2]
    assert "0, 1, 2 are taken as train, val, test" in caplog.text
    to_parquet(tmp_path, "nodes")
    assert all(map(torch.equal, read(str(tmp_path)).split, dataset.split))


def test_row_counters_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_folder(tmp_path, **{"__index_level_0__": NUMBERS[::-1], "Unnamed: 0": NUMBERS})
    to_parquet(tmp_path, "nodes")
    with caplog.at_level(logging.WARNING):
        assert read(path).feature_names == ("size",)
    assert "the columns '__index_level_0__', 'Unnamed: 0' number rows (pandas' index) and are left out" in caplog.text


@pytest.mark.parametrize("first", [0, 1])
def test_a_first_column_without_a_name_that_counts_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    counter = [str(first + number) for number in reversed(range(NUM_NODES))]
    write_folder(tmp_path)
    write_csv(tmp_path / "nodes.csv", {"": counter, **columns()})
    write_csv(tmp_path / "edges.csv", {"": counter, **ring(IDS)})
    with caplog.at_level(logging.WARNING):
        assert read(str(tmp_path)).feature_names == ("size",)
    assert "'(the first, without a name)' number rows" in caplog.text


@pytest.mark.parametrize("counter", [NUMBERS, IDS, ["0"] * NUM_NODES])
def test_a_first_column_without_a_name_that_counts_nothing(
    tmp_path: Path, refused: Callable, counter: list[str]
) -> None:
    write_folder(tmp_path)
    write_csv(tmp_path / "nodes.csv", {"": counter, **columns()})
    refused(str(tmp_path), "nodes.csv: column 1 has no name", "index=False")


@pytest.mark.parametrize(("names", "mend"), [
    (["embeddings.npy"], "rename it to features.npy"),
    (["x.npz"], "rename it to features.npy"),
    (["features.npy", "Features.NPY"], "join its columns to those of features.npy"),
])  # fmt: skip
def test_other_arrays_in_the_folder_are_not_passed_over(
    tmp_path: Path, refused: Callable, names: list[str], mend: str
) -> None:
    path = write_folder(tmp_path, size=None)
    for name in names:
        (tmp_path / name).write_bytes(b"")
    refused(path, f"the folder holds '{names[-1]}' beside its tables", mend, "or move it elsewhere")
    if len(names) == 1 and names[0].endswith(".npy"):
        np.save(tmp_path / names[0], np.ones((NUM_NODES, 4), np.float32))
        (tmp_path / names[0]).rename(tmp_path / "features.npy")
        assert read(path).num_features == 4, "the mend works"


def test_each_label_once_is_a_name(tmp_path: Path, refused: Callable) -> None:
    rows = [f"{name},{name},{'xxxxyyyy'[place]}" for place, name in enumerate(EIGHT)]
    refused(write_lines(tmp_path, table("id,label,kind", *rows)), "each of its 8 values is there once, so it is a name")


def test_a_number_column_that_is_mostly_missing(tmp_path: Path) -> None:
    scores = ["NA", "NA", "302", "NA", "304", "NA", "306", "NA"]
    rows = [f"{name},{'xxxxyyyy'[place]},{scores[place]}" for place, name in enumerate(EIGHT)]
    dataset = read(write_lines(tmp_path, table("id,label,score", *rows)), scaling="none", shares=(0.5, 0.25, 0.25))
    assert dataset.feature_names == ("score", "score=missing")
    held = [float(scores[node]) for node in dataset.split.train.tolist() if scores[node] != "NA"]
    fill = float(np.median(held)) if held else 302.0
    assert dataset.x.tolist() == [[fill, 1] if score == "NA" else [float(score), 0] for score in scores]


def test_decimal_commas_are_no_categories(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f'{name},{"xxxxyyyy"[place]},"0,{place}"' for place, name in enumerate(EIGHT)]
    path = write_lines(tmp_path, table("id,label,rate", *rows))
    with caplog.at_level(logging.WARNING):
        dataset = read(path, scaling="none", shares=(0.5, 0.25, 0.25))
    assert dataset.x.flatten().tolist() == pytest.approx([place / 10 for place in range(8)])
    assert "decimal comma" in caplog.text


def test_a_list_column_of_parquet_is_an_embedding(tmp_path: Path) -> None:
    path = write_folder(tmp_path, size=None)
    values = np.random.default_rng(0).random((NUM_NODES, 3)).round(3)
    nodes = polars.read_csv(f"{path}/nodes.csv").with_columns(emb=polars.Series(values.tolist()))
    nodes.write_parquet(f"{path}/nodes.parquet")
    (tmp_path / "nodes.csv").unlink()
    dataset = read(path)
    assert dataset.feature_names == ("emb[0]", "emb[1]", "emb[2]")
    assert np.array_equal(dataset.x.numpy(), values.astype(np.float32))


def test_the_schema_of_training_is_applied_to_other_values(tmp_path: Path) -> None:
    path = write_folder(tmp_path, kind=["u", "v", "w"] * 10)
    trained = read(path)
    sizes = [str(100 + i) for i in range(NUM_NODES)]
    write_folder(tmp_path, kind=["u", "v", "z"] * 10, size=sizes)
    applied = read_own(path, "public", 0, OwnSettings(), trained.schema)
    size = trained.schema["columns"][0]
    wanted = [(100 + i - size["mean"]) / size["deviation"] for i in range(NUM_NODES)]
    assert applied.x[:, 0].tolist() == pytest.approx(wanted, rel=1e-5)
    assert applied.x[:3, 1:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert applied.feature_names == trained.feature_names
    assert applied.schema == trained.schema


def test_the_fingerprint_is_of_the_values_before_they_are_scaled(tmp_path: Path) -> None:
    path = write_folder(tmp_path, size=[*map(str, range(1, NUM_NODES)), ""])
    prints = {data_fingerprint(read(path, scaling=scaling)) for scaling in ("none", "standard", "log")}
    assert len(prints) == 1
    write_folder(tmp_path, size=[*map(str, range(1, NUM_NODES)), "7"])
    assert data_fingerprint(read(path)) not in prints


@pytest.mark.parametrize("words", ["Training Dev TEST", "train validation testing", "TRAIN valid Test", "0 1 2"])
def test_parts_are_known_by_many_words_in_any_case(words: str, tmp_path: Path) -> None:
    cycle = words.split()
    path = write_folder(tmp_path, split=[cycle[node % 3] for node in range(NUM_NODES)])
    assert [part.tolist() for part in read(path).split] == [list(range(first, NUM_NODES, 3)) for first in range(3)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_thousands_beside_a_decimal_comma(tmp_path: Path, separator: str) -> None:
    numbers = [number * 1234.25 for number in range(NUM_NODES)]
    german = [f"{number:,.2f}".translate(str.maketrans(",.", ".,")) for number in numbers]
    path = write_folder(tmp_path, size=[f'"{cell}"' if separator == "," else cell for cell in german])
    if separator != ",":
        for file in tmp_path.iterdir():
            text = file.read_text().split("\n")
            rows = [line.split(",", 2) for line in text]
            file.write_text("\n".join(separator.join(row) for row in rows))
    dataset = read(path, scaling="none")
    assert dataset.schema["columns"][0]["form"] == "points between thousands"
    assert dataset.x[:, -1].tolist() == pytest.approx(numbers)


def test_the_user_says_what_the_decimal_mark_is(tmp_path: Path, refused: Callable) -> None:
    path = write_folder(tmp_path, size=[f'"{1 + number}.{500 + number}"' for number in range(NUM_NODES)])
    assert read(path, scaling="none").x[0].item() == pytest.approx(1.5)
    assert read(path, scaling="none", decimal="comma").x[0].item() == 1500
    with pytest.raises(DatasetError, match=r"--data.decimal 'dot' is not known: give comma or point"):
        OwnSettings(decimal="dot")
