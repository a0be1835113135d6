//! What every program here does: `list` names its measurements, a JSON object a line; `run PEER WORK` takes one of them
//! and prints nanoseconds per operation, and the number that the first call returned, which must be the one that
//! guestmem's side returned for the same work.

use crate::clock::{self, Subject};

/// Something that a peer can be timed at. The name is that of guestmem's measurement.
pub struct Work {
    pub peer: &'static str,
    pub name: String,
    pub prepare: Box<dyn FnOnce() -> Subject>,
}

/// Measurements of one operation, by one peer.
pub type Works = Vec<Work>;

pub fn main<const N: usize>(works: [Works; N]) {
    let works = works.into_iter().flatten();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for Work { peer, name, .. } in works {
                println!(r#"{{"peer":"{peer}","work":"{name}"}}"#);
            }
        }
        ["run", peer, name] => {
            let Some(work) = works.into_iter().find(|work| work.peer == peer && work.name == name) else {
                fail(&format!("{peer} has no work called {name}"));
            };
            let (ns, checksum) = clock::time((work.prepare)());
            println!(r#"{{"ns":{ns},"checksum":{checksum}}}"#);
        }
        _ => fail("Wanted: list | run PEER WORK"),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2);
}
