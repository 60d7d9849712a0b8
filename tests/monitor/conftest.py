"""A tiny model with room for the longest contrast pair in bytes; its directions are kept outside the user's cache."""

from __future__ import annotations

import pytest
from conftest import save_tiny_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=2048)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache_folder, monkeypatch, request):
    if "bundled_model" not in request.fixturenames:
        monkeypatch.setenv("SPILLOVER_CACHE", str(cache_folder))
