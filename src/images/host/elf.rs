//! What a program or library asks of the dynamic loader.
//!
//! Reads a handful of small pieces of the file, never the whole: Node alone has 100 MB. 64-bit
//! little-endian objects only, which is what every machine this runs on has; anything else is not an
//! object to us.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::LittleEndian as Little;
use object::elf::{
    self, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, FileHeader64, ProgramHeader64,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef, StringTable};

/// The loader's view of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object {
    /// `e_machine`: a library for another machine is passed over.
    pub(crate) machine: u16,
    /// The loader that a program names; libraries name none.
    pub(crate) interpreter: Option<PathBuf>,
    /// Libraries by name (by path where the name has a slash).
    pub(crate) needed: Vec<String>,
    /// Directories to look in first, `$ORIGIN` not yet replaced.
    pub(crate) search: Vec<String>,
}

/// Why a file that looks like an object could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    #[error("could not read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is a damaged program or library", path.display())]
    Damaged { path: PathBuf, source: object::read::Error },
}

type Header = FileHeader64<Little>;

/// Reads `path`; `None` for what is not an object (a script, a text).
pub(crate) fn read(path: &Path) -> Result<Option<Object>, ElfError> {
    let file =
        File::open(path).map_err(|source| ElfError::Read { path: path.to_owned(), source })?;
    let cache = ReadCache::new(file);
    if cache.read_bytes_at(0, 4) != Ok(&elf::ELFMAG) {
        return Ok(None);
    }
    parse(&cache).map_err(|source| ElfError::Damaged { path: path.to_owned(), source })
}

fn parse(file: &ReadCache<File>) -> object::read::Result<Option<Object>> {
    let Ok(header) = Header::parse(file) else {
        return Ok(None);
    };
    let endian = header.endian()?;
    let segments = header.program_headers(endian, file)?;
    let mut object = Object { machine: header.e_machine(endian).0, ..Object::default() };
    let mut dynamic = None;
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, file)? {
            object.interpreter = Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
        }
        dynamic = dynamic.or(segment.dynamic(endian, file)?);
    }
    // Without a dynamic section it is static, and asks for nothing.
    let Some(dynamic) = dynamic else {
        return Ok(Some(object));
    };
    let value = |tag| dynamic.iter().find(|it| it.tag(endian) == tag).map(|it| it.val(endian));
    let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
        return Ok(Some(object));
    };
    let Some(start) = file_offset(segments, endian, address) else {
        return Ok(Some(object));
    };
    let strings = StringTable::new(file, start, start.saturating_add(size));
    let text = |entry: &<Header as FileHeader>::Dyn| {
        let bytes = entry.string(endian, strings)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    };
    let (mut rpath, mut runpath) = (Vec::new(), Vec::new());
    for entry in dynamic.iter().take_while(|it| it.tag(endian) != elf::DT_NULL) {
        let split = |text: String| text.split(':').map(str::to_owned).collect::<Vec<_>>();
        match entry.tag(endian) {
            DT_NEEDED => object.needed.push(text(entry)?),
            DT_RPATH => rpath = split(text(entry)?),
            DT_RUNPATH => runpath = split(text(entry)?),
            _ => {}
        }
    }
    // The loader ignores the older of the two where both are there.
    object.search = if runpath.is_empty() { rpath } else { runpath };
    Ok(Some(object))
}

// Where in the file lies what will be at `address`?
fn file_offset(segments: &[ProgramHeader64<Little>], endian: Little, address: u64) -> Option<u64> {
    segments.iter().filter(|it| it.p_type(endian) == elf::PT_LOAD).find_map(|it| {
        let within = address.checked_sub(it.p_vaddr(endian))?;
        (within < it.p_filesz(endian)).then(|| it.p_offset(endian) + within)
    })
}
