"""An ``.npz`` file whose first array lies in it as in memory: it can be mapped.

`numpy.load` reads it like any other. NumPy's own writers either deflate every array or
none, and `numpy.load` maps ``.npy`` files alone.
"""

import math
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError


def write_arrays(path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays, the first as it lies in memory, the others deflated."""
    kinds = [ZIP_STORED] + [ZIP_DEFLATED] * (len(arrays) - 1)
    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        for kind, (name, array) in zip(kinds, arrays.items(), strict=True):
            member = ZipInfo(f"{name}.npy")
            member.compress_type = kind
            array = np.asarray(array, order="C")
            # As NumPy does: sizes of more than 4 GB have a place in the header.
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return Path(path)


def map_array(file, arrays, name: str) -> np.ndarray | None:
    """Map one array of an open ``.npz`` file, read-only.

    Args:
        file: The file, open for reading bytes. It may be closed afterwards.
        arrays: What `numpy.load` returned for it.
        name: Name of the array.

    Returns:
        The array; None if it does not lie in the file as in memory.

    Raises:
        KeyError: If there is no such array.
        ClipError: If the file is damaged.
    """
    member = arrays.zip.getinfo(f"{name}.npy")
    if member.compress_type != ZIP_STORED:
        return None
    # A header of 30 bytes, which ends with the lengths of the name and of an extra
    # field; then these two, and the array with a header of NumPy's own.
    file.seek(member.header_offset + 26)
    lengths = [int.from_bytes(file.read(2), "little") for _ in range(2)]
    start = member.header_offset + 30 + sum(lengths)
    file.seek(start)
    if np.lib.format.read_magic(file) != (1, 0):
        return None
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    offset = file.tell()
    if offset - start + math.prod(shape) * dtype.itemsize != member.file_size:
        raise ClipError(f"{name} of shape {shape} in {member.file_size} bytes")
    if is_fortran or dtype.hasobject or offset % dtype.alignment:
        return None
    # Refuses to map beyond the end of the file: to read there would end the process.
    return np.asarray(np.memmap(file, dtype, "r", offset, shape))
