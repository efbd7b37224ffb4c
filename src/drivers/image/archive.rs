//! An image out of an archive, packed anew for any engine: an OCI layout that is an archive of `docker save` too, with one image under
//! rollgate's own name, so that loading it never moves a tag of somebody else's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Read};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256 as Hasher};

use super::tar::{self, Index, Member};
use crate::model::{Engine, ImageRef, Sha256};

/// No document of an image is longer.
const DOCUMENT: u64 = 4 << 20;
/// The annotation with an image's name in an OCI layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same with the whole name, of containerd.
const FULL_NAME: &str = "io.containerd.image.name";

/// An image that is ready to be sent.
#[derive(Debug)]
pub struct Packed {
    /// The archive. It has no name, so it goes with this process however that ends.
    pub file: File,
    /// Its length.
    pub size: u64,
    /// The digest of the image's configuration: what Docker and Podman call its id.
    pub config: Sha256,
    /// The digest of its manifest: what Docker calls its id where images are kept by containerd.
    pub manifest: Sha256,
}

impl Packed {
    /// By which path this process opens the archive, each time from its beginning.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// Packs the image that `wanted` names, or the only one.
///
/// # Errors
/// A text for people.
pub fn pack(
    archive: &Path,
    wanted: Option<&ImageRef>,
    tag: impl Fn(&Sha256) -> String,
) -> Result<Packed, String> {
    let explain = |error: io::Error| format!("`{}` cannot be used: {error}", archive.display());
    let index = Index::open(archive).map_err(explain)?;
    let source = find(&index, wanted).map_err(|why| {
        let archive = archive.display();
        format!("`{archive}` cannot be used: {why}")
    })?;
    write(&index, &source, tag).map_err(explain)
}

/// Lets the engine here save an image into `into`.
///
/// # Errors
/// A text for people: there is no such engine here, or it has no such image.
pub async fn save(engine: Engine, image: &ImageRef, into: &Path) -> Result<(), String> {
    let mut command = tokio::process::Command::new(engine.as_str());
    command.arg("save").arg("-o").arg(into);
    command.arg(image.to_string());
    let hint = "build it here, or name an archive with `source`, or let the hosts pull it with pull = \"host\"";
    let done = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!(
            "`{} save {image}` failed here: {}; {hint}",
            engine.as_str(),
            String::from_utf8_lossy(&done.stderr).trim()
        )),
        Err(error) => Err(format!(
            "`{}` cannot be run here ({error}); {hint}",
            engine.as_str()
        )),
    }
}

/// An image's parts by their names in the archive.
struct Source {
    config: Vec<u8>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default, rename = "mediaType")]
    media_type: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Manifests {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

fn find(index: &Index, wanted: Option<&ImageRef>) -> Result<Source, String> {
    if let Some(images) = document::<Vec<Saved>>(index, "manifest.json")? {
        return saved(index, images, wanted);
    }
    if let Some(layout) = document::<Manifests>(index, "index.json")? {
        return layout_image(index, layout, wanted);
    }
    Err("it holds no image: write it with `docker save` or `podman save`".to_owned())
}

fn saved(
    index: &Index,
    mut images: Vec<Saved>,
    wanted: Option<&ImageRef>,
) -> Result<Source, String> {
    if images.len() > 1 {
        images.retain(|image| {
            let mut names = image.repo_tags.iter().flatten();
            names.any(|name| is_wanted(name, wanted))
        });
    }
    let [image] = images.as_slice() else {
        return Err(format!(
            "it holds several images, and {}",
            not_one(wanted, images.len())
        ));
    };
    Ok(Source {
        config: bytes(index, &image.config)?,
        layers: image.layers.clone(),
    })
}

fn layout_image(
    index: &Index,
    mut layout: Manifests,
    wanted: Option<&ImageRef>,
) -> Result<Source, String> {
    if layout.manifests.len() > 1 {
        layout.manifests.retain(|one| {
            let name = |key| one.annotations.get(key);
            let names = [name(FULL_NAME), name(REF_NAME)];
            let tag = wanted.and_then(|wanted| wanted.tag.as_ref());
            names
                .into_iter()
                .flatten()
                .any(|name| is_wanted(name, wanted) || Some(name) == tag)
        });
    }
    let [one] = layout.manifests.as_slice() else {
        return Err(format!(
            "it holds several images, and {}",
            not_one(wanted, layout.manifests.len())
        ));
    };
    if one.media_type.contains("index") || one.media_type.contains("list") {
        return Err("its image is for several platforms: save it for the hosts' one, with `--platform` where the tool has it".to_owned());
    }
    let manifest: Manifest = document(index, &blob(&one.digest)?)?
        .ok_or_else(|| format!("its manifest {} is missing", one.digest))?;
    let layers = manifest.layers.iter().map(|layer| blob(&layer.digest));
    Ok(Source {
        config: bytes(index, &blob(&manifest.config.digest)?)?,
        layers: layers.collect::<Result<_, _>>()?,
    })
}

fn not_one(wanted: Option<&ImageRef>, count: usize) -> String {
    match wanted {
        Some(wanted) => format!("{count} of them are called {wanted}"),
        None => "`image` does not say which one is meant".to_owned(),
    }
}

fn is_wanted(name: &str, wanted: Option<&ImageRef>) -> bool {
    let name = ImageRef::parse(name);
    wanted.is_some_and(|wanted| {
        name.is_ok_and(|name| name.repository() == wanted.repository() && name.tag == wanted.tag)
    })
}

fn blob(digest: &str) -> Result<String, String> {
    match digest.split_once(':') {
        Some((kind, hex)) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(format!("blobs/{kind}/{hex}"))
        }
        Some(_) | None => Err(format!("`{digest}` in it is no digest")),
    }
}

fn bytes(index: &Index, name: &str) -> Result<Vec<u8>, String> {
    let found = index
        .small(name, DOCUMENT)
        .map_err(|error| error.to_string())?;
    found.ok_or_else(|| format!("`{name}` is missing in it"))
}

fn document<T: for<'de> Deserialize<'de>>(index: &Index, name: &str) -> Result<Option<T>, String> {
    let found = index
        .small(name, DOCUMENT)
        .map_err(|error| error.to_string())?;
    let read = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes).map_err(|error| format!("`{name}` in it: {error}"))
    };
    found.map(read).transpose()
}

/// A layer with its place in the old archive.
struct Layer {
    member: Member,
    digest: String,
    media_type: &'static str,
}

fn write(index: &Index, source: &Source, tag: impl Fn(&Sha256) -> String) -> io::Result<Packed> {
    let layers: Vec<Layer> = source
        .layers
        .iter()
        .map(|name| layer(index, name))
        .collect::<io::Result<_>>()?;
    let config = digest(&source.config)?;
    let name = tag(&config);
    let place = |digest: &str| format!("blobs/sha256/{digest}");
    let described = |layer: &Layer| json!({"mediaType": layer.media_type, "digest": format!("sha256:{}", layer.digest), "size": layer.member.size});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config}"), "size": source.config.len()},
        "layers": layers.iter().map(described).collect::<Vec<_>>(),
    })
    .to_string();
    let manifest_digest = digest(manifest.as_bytes())?;
    let layout = json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{manifest_digest}"), "size": manifest.len(),
            "annotations": {FULL_NAME: name, REF_NAME: name}}],
    });
    let saved = json!([{"Config": place(config.as_str()), "RepoTags": [name],
        "Layers": layers.iter().map(|layer| place(&layer.digest)).collect::<Vec<_>>()}]);
    let file = tempfile::tempfile()?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    let mut small = |name: &str, bytes: &[u8]| {
        tar::write(&mut out, name, bytes.len() as u64, &mut Cursor::new(bytes))
    };
    small("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    small("index.json", layout.to_string().as_bytes())?;
    small("manifest.json", saved.to_string().as_bytes())?;
    small(&place(manifest_digest.as_str()), manifest.as_bytes())?;
    small(&place(config.as_str()), &source.config)?;
    let mut written: Vec<&str> = Vec::new();
    for layer in &layers {
        if !written.contains(&layer.digest.as_str()) {
            let mut content = index.reader(layer.member)?;
            tar::write(
                &mut out,
                &place(&layer.digest),
                layer.member.size,
                &mut content,
            )?;
            written.push(&layer.digest);
        }
    }
    tar::finish(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let size = file.metadata()?.len();
    Ok(Packed {
        file,
        size,
        config,
        manifest: manifest_digest,
    })
}

fn layer(index: &Index, name: &str) -> io::Result<Layer> {
    let member = index.member(name).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{name}` is missing in it"),
        )
    })?;
    let mut reader = index.reader(member)?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0_u8; 1 << 18];
    let mut magic: Option<&'static str> = None;
    loop {
        let count = reader.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        magic.get_or_insert(if read.starts_with(&[0x1f, 0x8b]) {
            "application/vnd.oci.image.layer.v1.tar+gzip"
        } else if read.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            "application/vnd.oci.image.layer.v1.tar+zstd"
        } else {
            "application/vnd.oci.image.layer.v1.tar"
        });
        hasher.update(read);
    }
    Ok(Layer {
        member,
        digest: hex(hasher),
        media_type: magic.unwrap_or("application/vnd.oci.image.layer.v1.tar"),
    })
}

fn hex(hasher: Hasher) -> String {
    use std::fmt::Write as _;
    hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _never = write!(text, "{byte:02x}");
            text
        })
}

/// The digest of a document.
pub(super) fn digest(bytes: &[u8]) -> io::Result<Sha256> {
    let hex = hex(Hasher::new_with_prefix(bytes));
    Sha256::new(&hex).map_err(io::Error::other)
}
