//! The embedded scripts of the client, one for each combination of transports.

/// The modules of the client, in the order in which a script's name lists them.
pub const MODULES: [&str; 3] = ["websocket", "sse", "polling"];

/// What a script has in the place of its configuration, once.
pub(crate) const TOKEN: &str = "__PRIMUS_CONFIG__";

/// The script for exactly these modules, given in any order. `None` if the set is empty or names
/// a module that there is not.
pub(crate) fn script<S: AsRef<str>>(modules: &[S]) -> Option<&'static str> {
    let mut wanted = [false; 3];
    for module in modules {
        wanted[MODULES.iter().position(|name| *name == module.as_ref())?] = true;
    }
    Some(match wanted {
        [false, false, false] => return None,
        [true, false, false] => include_str!("../client/websocket.js"),
        [false, true, false] => include_str!("../client/sse.js"),
        [false, false, true] => include_str!("../client/polling.js"),
        [true, true, false] => include_str!("../client/websocket-sse.js"),
        [true, false, true] => include_str!("../client/websocket-polling.js"),
        [false, true, true] => include_str!("../client/sse-polling.js"),
        [true, true, true] => include_str!("../client/websocket-sse-polling.js"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_a_script_of_its_own_with_one_token() {
        let mut seen = Vec::new();
        for set in 1..8_u8 {
            let modules: Vec<_> =
                (0..3).filter(|bit| set & (1 << bit) != 0).map(|bit| MODULES[bit]).collect();
            let found = script(&modules).unwrap();
            assert_eq!(found.matches(TOKEN).count(), 1, "{modules:?}");
            let mut reversed = modules.clone();
            reversed.reverse();
            assert_eq!(script(&reversed), Some(found));
            assert!(!seen.contains(&found), "{modules:?}");
            seen.push(found);
        }
        assert_eq!(script(&["websocket", "websocket"]), script(&["websocket"]));
        assert_eq!(script::<&str>(&[]), None);
        assert_eq!(script(&["websocket", "pigeon"]), None);
    }
}
