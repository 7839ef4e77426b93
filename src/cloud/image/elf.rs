//! Checks if a file can run in an empty image: a static Linux executable for the right processor.
//! Pure.

use super::architecture;
use model::scenario::Arch;

const MACHINE_X86_64: u16 = 62;
const MACHINE_AARCH64: u16 = 183;
/// System V and GNU/Linux: what Linux runs. FreeBSD, for one, writes 9.
const LINUX: [u8; 2] = [0, 3];
/// A program at a fixed place, or at any (which static-pie shares with libraries: those have no
/// entry point).
const PROGRAM: [u16; 2] = [2, 3];
/// Program header: the path of the dynamic loader.
const PT_INTERP: u32 = 3;

/// The reason why a file cannot be the program of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitBinary {
    /// The file begins with `#!`.
    #[error("it is a script; the image has no interpreter")]
    Script,
    /// The file begins like a Mach-O program.
    #[error("it is a macOS program; name a static Linux build with --generator-binary")]
    MacOs,
    /// The file begins with `MZ`.
    #[error("it is a Windows program; name a static Linux build with --generator-binary")]
    Windows,
    /// The file begins like no known kind of program.
    #[error("it is not an executable")]
    NotExecutable,
    /// The ELF header is cut off, of 32 bits or big-endian.
    #[error("its ELF header is damaged, or of 32 bits")]
    Header,
    /// `e_machine` is neither x86-64 nor AArch64; holds its value.
    #[error("it is for a processor that Fargate does not have (ELF machine {0})")]
    Machine(u16),
    /// The program is for the other of the two architectures of Fargate.
    #[error(
        "it is built for {} and `fleet.arch` asks for {}; name the other build with --generator-binary",
        architecture(*found),
        architecture(*wanted)
    )]
    Architecture {
        /// Architecture in the ELF header.
        found: Arch,
        /// `fleet.arch` of the scenario.
        wanted: Arch,
    },
    /// `EI_OSABI` is neither System V nor GNU/Linux; holds its value.
    #[error("it is built for another system than Linux (ELF system {0})")]
    System(u8),
    /// The ELF type is no executable, or there is no entry point.
    #[error("it is a library or a part of a program, not a program")]
    NotAProgram,
    /// The program headers lie beyond the part of the file that was read.
    #[error("its program headers are damaged")]
    ProgramHeaders,
    /// The file names a dynamic loader (`PT_INTERP`).
    #[error(
        "it needs a C library, and the image has none; use the static release, or name a static build \
         with --generator-binary"
    )]
    NeedsLibrary,
}

/// Accepts a static ELF executable for `arch`.
pub fn inspect(head: &[u8], arch: Arch) -> Result<(), UnfitBinary> {
    if head.starts_with(b"#!") {
        return Err(UnfitBinary::Script);
    }
    if [&b"\xcf\xfa\xed\xfe"[..], b"\xca\xfe\xba\xbe"]
        .iter()
        .any(|magic| head.starts_with(magic))
    {
        return Err(UnfitBinary::MacOs);
    }
    if head.starts_with(b"MZ") {
        return Err(UnfitBinary::Windows);
    }
    if !head.starts_with(b"\x7fELF") {
        return Err(UnfitBinary::NotExecutable);
    }
    // 64 bit, little endian: both architectures of Fargate.
    let header = Header::read(head).ok_or(UnfitBinary::Header)?;
    let found = match header.machine {
        MACHINE_X86_64 => Arch::X86_64,
        MACHINE_AARCH64 => Arch::Arm64,
        other => return Err(UnfitBinary::Machine(other)),
    };
    if found != arch {
        return Err(UnfitBinary::Architecture {
            found,
            wanted: arch,
        });
    }
    if !LINUX.contains(&header.system) {
        return Err(UnfitBinary::System(header.system));
    }
    if !PROGRAM.contains(&header.kind) || header.entry == 0 {
        return Err(UnfitBinary::NotAProgram);
    }
    if header
        .needs_loader(head)
        .ok_or(UnfitBinary::ProgramHeaders)?
    {
        return Err(UnfitBinary::NeedsLibrary);
    }
    Ok(())
}

struct Header {
    system: u8,
    kind: u16,
    machine: u16,
    entry: u64,
    programs_at: usize,
    program_size: usize,
    programs: usize,
}

impl Header {
    fn read(head: &[u8]) -> Option<Self> {
        let (class, order) = (*head.get(4)?, *head.get(5)?);
        if class != 2 || order != 1 {
            return None;
        }
        Some(Self {
            system: *head.get(7)?,
            kind: u16_at(head, 16)?,
            machine: u16_at(head, 18)?,
            entry: u64_at(head, 24)?,
            programs_at: usize::try_from(u64_at(head, 32)?).ok()?,
            program_size: u16_at(head, 54)?.into(),
            programs: u16_at(head, 56)?.into(),
        })
    }

    /// True if the program needs a loader; `None` if its headers lie beyond the bytes that were
    /// read.
    fn needs_loader(&self, head: &[u8]) -> Option<bool> {
        for index in 0..self.programs {
            let at = self
                .programs_at
                .checked_add(index.checked_mul(self.program_size)?)?;
            let kind = u32::from_le_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?);
            if kind == PT_INTERP {
                return Some(true);
            }
        }
        Some(false)
    }
}

fn u16_at(head: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?))
}

fn u64_at(head: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::own_arch;

    fn elf(machine: u16, program: u32) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[16] = 2;
        head[24] = 1;
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&1_u16.to_le_bytes());
        head[64..68].copy_from_slice(&program.to_le_bytes());
        head
    }

    fn with(mut head: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
        head[at] = byte;
        head
    }

    #[test]
    fn only_a_static_executable_for_the_right_processor_is_fit() {
        assert_eq!(inspect(&elf(MACHINE_X86_64, 1), Arch::X86_64), Ok(()));
        assert_eq!(inspect(&elf(MACHINE_AARCH64, 1), Arch::Arm64), Ok(()));
        let fit = || elf(MACHINE_X86_64, 1);
        assert_eq!(
            inspect(&with(fit(), 16, 3), Arch::X86_64),
            Ok(()),
            "static-pie"
        );
        assert_eq!(
            inspect(&with(fit(), 7, 3), Arch::X86_64),
            Ok(()),
            "GNU/Linux"
        );
        for (head, words) in [
            (with(fit(), 16, 1), "not a program"),
            (with(with(fit(), 16, 3), 24, 0), "not a program"),
            (with(fit(), 7, 9), "another system"),
            (elf(MACHINE_X86_64, PT_INTERP), "needs a C library"),
            (elf(MACHINE_AARCH64, 1), "built for arm64"),
            (elf(8, 1), "Fargate does not have"),
            (b"#!/bin/sh".to_vec(), "script"),
            (b"MZ\x90".to_vec(), "Windows"),
            (b"\xcf\xfa\xed\xfe".to_vec(), "macOS"),
            (b"hello".to_vec(), "not an executable"),
            (b"\x7fELF\x02\x01".to_vec(), "damaged"),
            (Vec::new(), "not an executable"),
        ] {
            let why = inspect(&head, Arch::X86_64).unwrap_err().to_string();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn this_build_is_static_and_the_systems_shell_is_not() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            assert_eq!(inspect(&own, own_arch()), Ok(()));
            let shell = std::fs::read("/bin/sh").unwrap();
            assert!(inspect(&shell, own_arch()).is_err());
        }
    }
}
