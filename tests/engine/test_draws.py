"""Draws are a function of seed, account and number, and nothing else."""

from __future__ import annotations

from engine.draws import draws_of, fuzz_of, jitter_of


def test_the_same_key_gives_the_same_bits_and_others_differ() -> None:
    first = draws_of(1, 2, 3).integers(0, 1 << 62, 8).tolist()
    assert draws_of(1, 2, 3).integers(0, 1 << 62, 8).tolist() == first
    for key in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (-1, 2, 3)):
        assert draws_of(*key).integers(0, 1 << 62, 8).tolist() != first


def test_streams_of_neighbouring_numbers_do_not_overlap() -> None:
    words = [draws_of(1, 2, n).integers(0, 1 << 62, 200).tolist() for n in range(50)]
    assert len({word for stream in words for word in stream}) == 50 * 200


def test_bits_are_pinned() -> None:
    assert draws_of(1, 2, 3).integers(0, 1 << 62) == 633286090995042191


def test_fuzz_reaches_both_ends_and_jitter_stays_below_its_end() -> None:
    draws = draws_of(1, 2, 3)
    fuzz = [fuzz_of(draws, 2) for _ in range(500)]
    assert set(fuzz) == {-2, -1, 0, 1, 2}
    assert {jitter_of(draws, 3, 6) for _ in range(500)} == {3, 4, 5}
    assert jitter_of(draws, 4, 4) == 4
    assert fuzz_of(draws, 0) == 0
