//! What `--help` says beyond the options: the sections of a manual page.

/// Of the program.
pub(crate) const PROGRAM: &str = "\
Examples:
  Convert an image that skopeo has fetched, and look at the result:
    skopeo copy docker://debian:12-slim oci:debian:12
    unikiln-builder build oci:debian:12 -o debian.uk
    unikiln-builder inspect debian.uk

  Convert what `docker save` or `podman save` wrote:
    docker save app:1.2 -o app.tar
    unikiln-builder build docker-archive:app.tar:app:1.2 -o app.uk

Exit status:
  0    done
  125  failed: bad usage, an image that cannot be used, a full disk; one line on
       standard error says what failed, on what, and what to do

Environment:
  PATH  where host:NAME and pack look a program up that has no slash in its name

Nothing else of the environment counts. No network, no KVM and no privileges are
needed. `unikiln` has the same commands, and runs what they make.

See `unikiln-builder help COMMAND` for each command.";

/// Of `build`.
pub(crate) const BUILD: &str = "\
Images:
  oci:DIR[:TAG]              an OCI image layout in a directory
  oci-archive:FILE[:TAG]     the same in a tar file
  docker-archive:FILE[:NAME:TAG]
                             what `docker save` writes
  host:PROGRAM               a program of this machine with the files it needs

  Tar files and layers may be plain or compressed by gzip or zstd. TAG may be left
  out where there is one image. FILE and DIR cannot have a colon in their names.

What is checked:
  Sizes and digests of all blobs, and digests of what layers unpack to. Nothing of
  the image is unpacked onto this machine: layers are merged in memory, contents of
  files wait in an unnamed temporary file beside FILE. So the disk of FILE needs
  room for the image twice, and memory stays below 256 MiB for an image of 1 GiB.
  A failure leaves nothing behind, and an older FILE as it was.

Reproducible:
  The same image, options and version give the same bytes, on any machine. FILE
  names what it was made of (`unikiln-builder inspect`): digests of manifest,
  configuration, layers and libOS, and the version of the builder.

Examples:
  unikiln-builder build oci:./image:latest -o app.uk
  unikiln-builder build --platform linux/amd64/v3 oci-archive:image.tar -o app.uk
  unikiln-builder build --max-unpacked 64G docker-archive:huge.tar -o huge.uk
  unikiln-builder build --include /usr/lib/python3.11 host:/usr/bin/python3.11 -o py.uk

Exit status:
  0    FILE is complete
  125  it is not; one line on standard error says why

See also:
  unikiln-builder inspect, unikiln run, skopeo-copy(1), fsck.erofs(1)";

/// Of `inspect`.
pub(crate) const INSPECT: &str = "\
Both checksums of FILE are compared with its bytes, so that a file that can be
inspected is whole. FILE is at the same time an ELF file and an EROFS file system:
readelf(1), fsck.erofs(1) and `mount -t erofs -o loop,ro` work on it, too.

Examples:
  unikiln-builder inspect app.uk
  unikiln-builder inspect --json app.uk | jq -r .manifest.image.digest

Exit status:
  0    FILE is a whole unikernel file
  125  it is not; one line on standard error says why";

/// Of `pack`.
pub(crate) const PACK: &str = "\
The digest of the new image's manifest is printed. Other container tools can use
the image: it is an ordinary one.

Examples:
  unikiln-builder pack /usr/bin/curl --include /etc/ssl/certs -o oci:./curl:8
  unikiln-builder build oci:./curl:8 -o curl.uk

Exit status:
  0    the image is there
  125  it is not; one line on standard error says why";
