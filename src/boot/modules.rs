//! Kernel modules of the board, loaded in the order of a list, which has each after those it needs.

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;

use super::kmsg::Kmsg;

const FOLDER: &str = "/lib/modules";

/// Loads what `/lib/modules/order` lists, a name a line. A module that finds no device of its own is no error to the
/// kernel either; what fails is said, and the rest goes on.
pub(super) fn load_all(kmsg: &mut Kmsg) {
    let folder = Path::new(FOLDER);
    let list = match std::fs::read_to_string(folder.join("order")) {
        Ok(list) => list,
        Err(error) => return kmsg.error(&format!("{FOLDER}/order: {error}")),
    };
    let mut loaded = 0;
    for name in list.lines() {
        match load(&folder.join(name).with_extension("ko")) {
            Ok(()) | Err(Errno::EXIST) => loaded += 1,
            // As when the command line says module_blacklist=.
            Err(Errno::PERM) => kmsg.say(&format!("module {name} is not wanted here")),
            // The board is of another make than the driver.
            Err(Errno::NODEV) => kmsg.say(&format!("module {name} has no device here")),
            Err(error) => kmsg.error(&format!("module {name}: {error}")),
        }
    }
    kmsg.say(&format!("{loaded} modules loaded"));
}

fn load(file: &Path) -> Result<(), Errno> {
    let file = File::open(file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::system::finit_module(&file, c"", 0)
}
