"""Archives that would write elsewhere, fill the disk, or be read as something else than they seem."""

import os
import stat
import tarfile
import zipfile

from ground import Attacks, Ground

ARCHIVES = Attacks()


def extract_zip_naively(ground: Ground, source) -> bool:
    """Joins names to a folder, and makes the links that Unix zips hold."""
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            target = ground.naive / info.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(info.external_attr >> 16):
                target.symlink_to(archive.read(info).decode())
            else:
                target.write_bytes(archive.read(info))
    return ground.harm.exists()


def extract_tar_naively(ground: Ground, source) -> bool:
    """As ``tarfile`` did before it had filters."""
    with tarfile.open(source) as archive:
        archive.extractall(ground.naive, filter="fully_trusted")
    return ground.harm.exists()


def unpacks_to_far_more(ground: Ground, source) -> bool:
    """Whether what is unpacked is a hundred times larger than the archive."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            total = sum(len(archive.read(info)) for info in archive.infolist())
    else:
        with tarfile.open(source) as archive:
            total = sum(len(archive.extractfile(member).read()) for member in archive)
    return total > 100 * source.stat().st_size


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "", **fields) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def zip_member(name: str, mode: int = stat.S_IFREG) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # the constructor would fix it
    info.external_attr = (mode | 0o644) << 16
    return info


@ARCHIVES.add("zip: an entry that climbs out with ..", "would be written outside the folder", extract_zip_naively)
def _(ground):
    return ground.zip((zip_member("../harm"), b"x"))


@ARCHIVES.add(
    "zip: an entry that climbs out from a folder of its own", "would be written outside the folder", extract_zip_naively
)
def _(ground):
    return ground.zip((zip_member("tokens/../../harm"), b"x"))


@ARCHIVES.add("zip: an entry with an absolute path", "has an absolute path", extract_zip_naively)
def _(ground):
    return ground.zip((zip_member(str(ground.harm)), b"x"))


@ARCHIVES.add("zip: an entry with a Windows path", "control characters or backslashes")
def _(ground):
    return ground.zip((zip_member("..\\harm"), b"x"))


@ARCHIVES.add("zip: an entry with a drive letter", "has an absolute path")
def _(ground):
    return ground.zip((zip_member("C:/harm"), b"x"))


@ARCHIVES.add("zip: a link, and an entry that is written through it", "is a link", extract_zip_naively)
def _(ground):
    return ground.zip((zip_member("out", stat.S_IFLNK), str(ground.root).encode()), (zip_member("out/harm"), b"x"))


@ARCHIVES.add("zip: weights that are a link to a file of the user's", "is a link")
def _(ground):
    (ground.root / "secret").write_text("x")
    (ground.model / "latest.pth").unlink()
    return ground.zip((zip_member("latest.pth", stat.S_IFLNK), str(ground.root / "secret").encode()))


@ARCHIVES.add("zip: a bomb of zeros", "brings what is unpacked to 8", unpacks_to_far_more)
def _(ground):
    return ground.zip(("zeros", bytes(80 << 20)), compression=zipfile.ZIP_DEFLATED)


@ARCHIVES.add("zip: an entry that is larger than it says", "Bad CRC-32")
def _(ground):
    path = ground.zip(("more", bytes(5000)))
    rewrite_directory(path, file_size=10, compress_size=5000)
    return path


@ARCHIVES.add("zip: an entry that claims more than any disk holds", "brings what is unpacked to 1,152,921,504")
def _(ground):
    path = ground.zip(("more", bytes(10)))
    rewrite_directory(path, file_size=1 << 60)
    return path


@ARCHIVES.add("zip: entries that begin before the file does", "damaged, or cannot be read (Invalid argument)")
def _(ground):
    path = ground.zip()
    content = path.read_bytes()
    begin = int.from_bytes(content[-6:-2], "little")  # of the directory, from which the places of entries are counted
    path.write_bytes(content[:-6] + (begin + 1000).to_bytes(4, "little") + content[-2:])
    return path


@ARCHIVES.add("zip: an encrypted entry", "entry 'secret' is encrypted; do without")
def _(ground):
    path = ground.zip(("secret", bytes(10)))
    rewrite_directory(path, flag_bits=1)
    return path


@ARCHIVES.add("zip: two entries of the same name", "has the name of another entry")
def _(ground):
    return ground.zip((zip_member("config.yaml"), b"encoder: ssl"))


@ARCHIVES.add("zip: names told apart by upper and lower case alone", "has the name of another entry")
def _(ground):
    return ground.zip((zip_member("CONFIG.yaml"), b"encoder: ssl"))


@ARCHIVES.add("zip: a name that ends early, at a NUL", "control characters or backslashes")
def _(ground):
    return ground.zip((zip_member("notes.txt\0.png"), b"x"))


@ARCHIVES.add("zip: a name that would rewrite the terminal", "control characters or backslashes")
def _(ground):
    return ground.zip((zip_member("\x1b[2J\x1b]0;owned\x07"), b"x"))


@ARCHIVES.add("zip: a name of 5000 characters", "has too long a name")
def _(ground):
    return ground.zip((zip_member("a" * 5000), b"x"))


@ARCHIVES.add("zip: thousands of entries", "more than 2000 entries")
def _(ground):
    return ground.zip(*((f"empty{number}", b"") for number in range(2500)))


@ARCHIVES.add("zip: a file where another entry wants a folder", "has the name of another entry")
def _(ground):
    return ground.zip((zip_member("config.yaml/harm"), b"x"))


@ARCHIVES.add("zip: meta.yaml names weights outside the archive", "which is not in it")
def _(ground):
    (ground.model / "config.yaml").rename(ground.model / "tokens" / "config.yaml")
    unpacked = ground.root.parent / "temporary" / "any" / "model"
    secret = os.path.relpath(ground.model / "latest.pth", unpacked)
    meta = f"yaml_files: {{train_config: tokens/config.yaml}}\nfiles: {{model_file: {secret}}}\n"
    return ground.zip(("meta.yaml", meta.encode()))


@ARCHIVES.add("tar: an entry that climbs out with ..", "would be written outside the folder", extract_tar_naively)
def _(ground):
    return ground.tar((member("../harm"), b"x"))


@ARCHIVES.add("tar: an entry with an absolute path", "has an absolute path", extract_tar_naively)
def _(ground):
    return ground.tar((member(str(ground.harm)), b"x"))


@ARCHIVES.add("tar: a link, and an entry that is written through it", "is a link", extract_tar_naively)
def _(ground):
    return ground.tar((member("out", tarfile.SYMTYPE, str(ground.root)), b""), (member("out/harm"), b"x"))


@ARCHIVES.add("tar: weights that are a link to others", "is a link")
def _(ground):
    (ground.model / "latest.pth").unlink()
    return ground.tar((member("latest.pth", tarfile.SYMTYPE, "1epoch.pth"), b""))


def follows_hard_link(ground: Ground, source) -> bool:
    """Whether what is unpacked is another file of the user's, and not a copy."""
    extract_tar_naively(ground, source)
    return (ground.naive / "stolen").samefile(ground.model / "config.yaml")


@ARCHIVES.add("tar: a hard link to a file of the user's", "is a link", follows_hard_link)
def _(ground):
    return ground.tar((member("stolen", tarfile.LNKTYPE, "../model/config.yaml"), b""))


def leaves_pipe(ground: Ground, source) -> bool:
    """Whether a pipe lies there, which whoever reads the model would wait for without end."""
    extract_tar_naively(ground, source)
    return (ground.naive / "pipe").is_fifo()


@ARCHIVES.add("tar: a named pipe, which a reader would wait for", "is a device or pipe", leaves_pipe)
def _(ground):
    return ground.tar((member("pipe", tarfile.FIFOTYPE), b""))


@ARCHIVES.add("tar: a device", "is a device or pipe")
def _(ground):
    return ground.tar((member("memory", tarfile.CHRTYPE, devmajor=1, devminor=1), b""))


@ARCHIVES.add("tar.gz: a bomb of zeros", "brings what is unpacked to 8", unpacks_to_far_more)
def _(ground):
    return ground.tar((member("zeros"), bytes(80 << 20)), gz=True)


@ARCHIVES.add("tar: a header that asks for a gigabyte of memory", "a header that asks for 1,073,741,824 bytes")
def _(ground):
    path = ground.tar()
    path.write_bytes(member("x", tarfile.XHDTYPE, size=1 << 30).tobuf(tarfile.USTAR_FORMAT) + path.read_bytes())
    return path


@ARCHIVES.add("tar: an entry of negative size, which would be read for ever", "has a negative size")
def _(ground):
    return ground.tar((member("back", pax_headers={"size": "-4096"}), b""))


@ARCHIVES.add("tar: a sparse file of a petabyte", "is a sparse file")
def _(ground):
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "big", "GNU.sparse.realsize": str(1 << 50)}
    return ground.tar((member("big", pax_headers=pax), b"0\n" + bytes(510)))


def rewrite_directory(path, **fields) -> None:
    """Changes what a zip's directory says of its last entry."""
    with zipfile.ZipFile(path, "a") as archive:
        for field, value in fields.items():
            setattr(archive.infolist()[-1], field, value)
        archive._didModify = True  # else the directory stays as it is
