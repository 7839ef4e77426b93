//! The rules for which addresses load may reach. A host name is no guarantee: its owner may resolve
//! it to `169.254.169.254` tomorrow, and a generator in AWS would then request its own credentials.
//! So each address is checked at each new connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Addresses that may get load in addition to the public ones. The default adds none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPolicy {
    /// Generators on this machine, and the lab's.
    pub loopback: bool,
    /// `target.private: true`
    pub private: bool,
}

/// Why an address gets no load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRefusal {
    /// The rule that refuses it, such as "a link-local address".
    pub rule: &'static str,
    /// The option that would permit it; `None` if no option does.
    pub permit: Option<&'static str>,
}

impl AddressRefusal {
    /// Returns the refusal of this address as a sentence, with what would permit it.
    pub fn of(self, address: IpAddr) -> String {
        let then = self.permit.map_or_else(
            || "nothing permits it".to_owned(),
            |permit| format!("{permit} permits it"),
        );
        format!("no load goes to {address}: {}; {then}", self.rule)
    }
}

const fn never(rule: &'static str) -> Option<AddressRefusal> {
    Some(AddressRefusal { rule, permit: None })
}

/// The endpoints that serve credentials: instance metadata, a task's own, and the same over IPv6
/// (reserved by AWS).
const METADATA: Option<AddressRefusal> = never("instance metadata and task credentials live there");
const LINK_LOCAL: Option<AddressRefusal> = never("a link-local address");
const MULTICAST: Option<AddressRefusal> = never("a multicast address");
const UNSPECIFIED: Option<AddressRefusal> = never("an unspecified address (0.0.0.0/8, ::)");
const RESERVED: Option<AddressRefusal> = never("a broadcast or reserved address (240.0.0.0/4)");

/// Returns why load may not go to an address; `None` if it may.
pub fn refusal(address: IpAddr, policy: AddressPolicy) -> Option<AddressRefusal> {
    match address {
        IpAddr::V4(address) => of_four(address, policy),
        IpAddr::V6(address) => {
            let inside = embedded(address)
                .into_iter()
                .find_map(|inside| of_four(inside, policy));
            inside.or_else(|| of_six(address, policy))
        }
    }
}

/// No address of a name may get load: the first of them, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", refusal.of(*address))]
pub struct AddressError {
    /// The first refused address that the name resolves to.
    pub address: IpAddr,
    /// The rule that refuses it, and what would permit it.
    pub refusal: AddressRefusal,
}

/// Returns the addresses of a name that may get load.
pub fn permitted(addresses: &[IpAddr], policy: AddressPolicy) -> Result<Vec<IpAddr>, AddressError> {
    let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) = addresses
        .iter()
        .partition(|address| refusal(**address, policy).is_none());
    let why = refused.first().and_then(|&address| {
        refusal(address, policy).map(|refusal| AddressError { address, refusal })
    });
    match why {
        Some(why) if allowed.is_empty() => Err(why),
        _ => Ok(allowed),
    }
}

fn of_four(address: Ipv4Addr, policy: AddressPolicy) -> Option<AddressRefusal> {
    match address.octets() {
        [0, ..] => UNSPECIFIED,
        [127, ..] => loopback(policy),
        [169, 254, 169, 254] | [169, 254, 170, 2] => METADATA,
        [169, 254, ..] => LINK_LOCAL,
        [224..=239, ..] => MULTICAST,
        [240..=255, ..] => RESERVED,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => private(policy),
        _ => None,
    }
}

fn of_six(address: Ipv6Addr, policy: AddressPolicy) -> Option<AddressRefusal> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => UNSPECIFIED,
        [0, 0, 0, 0, 0, 0, 0, 1] => loopback(policy),
        [0xfd00, 0x0ec2, ..] => METADATA,
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        [0xff00..=0xffff, ..] => MULTICAST,
        // Site-local (fec0::/10) is what private addresses were called before.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => private(policy),
        _ => None,
    }
}

/// Returns the IPv4 addresses that an IPv6 address may stand for; most stand for none. The forms
/// are mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`) and 6to4 (`2002::/16`). A subnet without
/// IPv4 also reaches them by NAT64: its well-known prefix (RFC 6052), and the one for local use
/// (`64:ff9b:1::/48`, RFC 8215).
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let four =
        |high: u16, low: u16| vec![Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))];
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => four(high, low),
        [0x2002, high, low, ..] => four(high, low),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
        [0x0064, 0xff9b, 1, ..] => by_local_prefix(address.octets()),
        _ => Vec::new(),
    }
}

/// Returns the IPv4 addresses that an address below `64:ff9b:1::/48` may stand for. Only the owner
/// of the prefix knows its length, so every length that fits counts. A length fits if the bytes
/// after the IPv4 address are zero (RFC 6052, 2.2); byte 8 always is. If none fits, the last four
/// bytes are the address.
fn by_local_prefix(bytes: [u8; 16]) -> Vec<Ipv4Addr> {
    let address_at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| bytes[place]));
    let ends = |place: usize| bytes[8] == 0 && bytes[place..].iter().all(|byte| *byte == 0);
    let short = [
        (11, [6, 7, 9, 10]),
        (12, [7, 9, 10, 11]),
        (13, [9, 10, 11, 12]),
    ];
    let fitting: Vec<Ipv4Addr> = short
        .into_iter()
        .filter(|(end, _)| ends(*end))
        .map(|(_, places)| address_at(places))
        .collect();
    if fitting.is_empty() {
        vec![address_at([12, 13, 14, 15])]
    } else {
        fitting
    }
}

fn loopback(policy: AddressPolicy) -> Option<AddressRefusal> {
    let permit = Some("`--fleet local`");
    (!policy.loopback).then_some(AddressRefusal {
        rule: "a loopback address is the generator itself",
        permit,
    })
}

fn private(policy: AddressPolicy) -> Option<AddressRefusal> {
    let permit = Some("`target.private: true` in the scenario");
    (!policy.private).then_some(AddressRefusal {
        rule: "a private address",
        permit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: AddressPolicy = AddressPolicy {
        loopback: false,
        private: false,
    };
    const ALL: AddressPolicy = AddressPolicy {
        loopback: true,
        private: true,
    };

    fn rule(address: &str, policy: AddressPolicy) -> Option<&'static str> {
        refusal(address.parse().unwrap(), policy).map(|refusal| refusal.rule)
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[test]
    fn public_addresses_are_reached_and_no_other_kind_unless_permitted() {
        let (loopback, private) = (
            "a loopback address is the generator itself",
            "a private address",
        );
        for (addresses, kept) in [
            // Refused with every policy.
            (
                vec![
                    "169.254.169.254",
                    "169.254.170.2",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                ],
                METADATA,
            ),
            (
                vec!["169.254.0.1", "169.254.170.23", "fe80::1", "febf::1"],
                LINK_LOCAL,
            ),
            (vec!["224.0.0.1", "239.255.255.255", "ff02::1"], MULTICAST),
            (vec!["0.0.0.0", "0.1.2.3", "::"], UNSPECIFIED),
            (vec!["255.255.255.255", "240.0.0.1"], RESERVED),
            // The same addresses in other notations.
            (
                vec!["::ffff:169.254.169.254", "64:ff9b::169.254.170.2"],
                METADATA,
            ),
            (
                vec!["::169.254.169.254", "2002:a9fe:a9fe::1", "2002:a9fe:aa02::"],
                METADATA,
            ),
            (
                vec![
                    "64:ff9b:1::169.254.169.254",
                    "64:ff9b:1:fffe::169.254.170.2",
                ],
                METADATA,
            ),
            (
                vec!["64:ff9b:1:ffff::169.254.0.9", "2002:a9fe:0001::"],
                LINK_LOCAL,
            ),
            // Behind prefixes of 48, 56 and 64 bits.
            (
                vec![
                    "64:ff9b:1:a9fe:a9:fe00::",
                    "64:ff9b:1:12a9:fe:a9fe::",
                    "64:ff9b:1:1:a9:fea9:fe00:0",
                ],
                METADATA,
            ),
            (vec!["::ffff:0.0.0.0"], UNSPECIFIED),
        ] {
            let kept = kept.map(|refusal| refusal.rule);
            for address in addresses {
                assert_eq!(
                    (rule(address, NOTHING), rule(address, ALL)),
                    (kept, kept),
                    "{address}"
                );
            }
        }
        for (address, without, permitted) in [
            (
                "127.0.0.1",
                Some(loopback),
                AddressPolicy {
                    loopback: true,
                    ..NOTHING
                },
            ),
            (
                "127.255.0.9",
                Some(loopback),
                AddressPolicy {
                    loopback: true,
                    ..NOTHING
                },
            ),
            (
                "::1",
                Some(loopback),
                AddressPolicy {
                    loopback: true,
                    ..NOTHING
                },
            ),
            (
                "::ffff:127.0.0.1",
                Some(loopback),
                AddressPolicy {
                    loopback: true,
                    ..NOTHING
                },
            ),
            (
                "10.0.0.5",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "172.16.0.1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "172.31.255.255",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "192.168.1.1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "100.64.0.1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "100.127.255.255",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "fc00::1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "fd12:3456::1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "::ffff:10.0.0.1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "::10.0.0.1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "::127.0.0.1",
                Some(loopback),
                AddressPolicy {
                    loopback: true,
                    ..NOTHING
                },
            ),
            (
                "2002:a00:1::",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "64:ff9b:1::10.0.0.1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "fec0::1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            (
                "feff::1",
                Some(private),
                AddressPolicy {
                    private: true,
                    ..NOTHING
                },
            ),
            // The neighbours of what is refused.
            ("1.0.0.0", None, NOTHING),
            ("126.255.255.255", None, NOTHING),
            ("128.0.0.1", None, NOTHING),
            ("172.15.255.255", None, NOTHING),
            ("172.32.0.0", None, NOTHING),
            ("100.63.255.255", None, NOTHING),
            ("100.128.0.0", None, NOTHING),
            ("169.253.255.255", None, NOTHING),
            ("223.255.255.255", None, NOTHING),
            ("2600:1f18::1", None, NOTHING),
            ("::ffff:93.184.216.34", None, NOTHING),
            ("::93.184.216.34", None, NOTHING),
            ("2002:5db8:d822::1", None, NOTHING),
            ("64:ff9b::93.184.216.34", None, NOTHING),
            ("64:ff9b:1::93.184.216.34", None, NOTHING),
            ("64:ff9b:1:5db8:d8:2200::", None, NOTHING),
            ("64:ff9b:2::a9fe:a9fe", None, NOTHING),
        ] {
            assert_eq!(
                (rule(address, NOTHING), rule(address, permitted)),
                (without, None),
                "{address}"
            );
        }
        // One permission does not grant the other.
        assert_eq!(
            rule(
                "10.0.0.1",
                AddressPolicy {
                    loopback: true,
                    private: false
                }
            ),
            Some(private)
        );
        assert_eq!(
            rule(
                "127.0.0.1",
                AddressPolicy {
                    loopback: false,
                    private: true
                }
            ),
            Some(loopback)
        );
    }

    #[test]
    fn a_name_s_refused_addresses_are_left_out_and_a_name_with_no_other_is_refused_with_the_reason()
    {
        let all = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        let check = |given: &[&str], kept: Result<&[&str], &str>| {
            assert_eq!(
                permitted(&all(given), NOTHING).map_err(|error| error.to_string()),
                kept.map(all).map_err(str::to_owned),
                "{given:?}"
            );
        };
        check(
            &["169.254.169.254", "93.184.216.34", "10.0.0.1"],
            Ok(&["93.184.216.34"]),
        );
        check(&[], Ok(&[]));
        check(
            &["10.0.0.1", "169.254.169.254"],
            Err(
                "no load goes to 10.0.0.1: a private address; `target.private: true` in the scenario permits it",
            ),
        );
        check(
            &["127.0.0.1"],
            Err(
                "no load goes to 127.0.0.1: a loopback address is the generator itself; `--fleet local` permits it",
            ),
        );
        check(
            &["169.254.169.254"],
            Err(
                "no load goes to 169.254.169.254: instance metadata and task credentials live there; nothing permits it",
            ),
        );
    }
}
