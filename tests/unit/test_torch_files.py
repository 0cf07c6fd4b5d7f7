"""What torch.save wrote, with every kind of damage."""

import zipfile
from pathlib import Path

import pytest
import torch

from spx.errors import ArtifactError
from spx.torch_files import check_checkpoint, damage, read_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {"w": torch.arange(99.0)}, "hyper_parameters": {"width": 8}}, path)
    return path


def test_a_whole_checkpoint(checkpoint: Path) -> None:
    assert damage(checkpoint) is None
    assert read_checkpoint(checkpoint)["state_dict"]["w"].equal(torch.arange(99.0))


def test_no_bit_of_a_weight_may_change(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    start = whole.index(torch.arange(99.0).numpy().tobytes())
    for place in range(start, start + 4 * 99, 7):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        checkpoint.write_bytes(content)
        with pytest.raises(
            ArtifactError, match=r"a\.ckpt is no checkpoint of spx, or a damaged one \(its part 'a/data/0'"
        ):
            check_checkpoint(checkpoint)


def test_what_is_no_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    with pytest.raises(ArtifactError, match=r"There is no checkpoint .*nowhere"):
        read_checkpoint(tmp_path / "nowhere")
    for content in (b"", b"text", whole[:-30], whole[: len(whole) // 2]):
        checkpoint.write_bytes(content)
        with pytest.raises(ArtifactError, match="damaged one"):
            read_checkpoint(checkpoint)
    for content in ({"state_dict": {}}, [1], 3, {"hyper_parameters": {}}):
        torch.save(content, checkpoint)
        with pytest.raises(ArtifactError, match="damaged one"):
            read_checkpoint(checkpoint)
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"x" * 99)
    assert damage(checkpoint) == "its parts are packed"
