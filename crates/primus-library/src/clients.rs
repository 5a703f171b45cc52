//! The embedded scripts of the client, one for each combination of transports.

/// The modules of the client, in the order in which a script's name lists them.
pub const MODULES: [&str; 3] = ["websocket", "sse", "polling"];

/// The modules by which the client speaks a protocol of others, by the names of its transformers. Each stands alone in
/// a script.
pub const DIALECTS: [&str; 3] = ["engine.io", "sockjs", "browserchannel"];

/// What a script has in the place of its configuration, once.
pub(crate) const TOKEN: &str = "__PRIMUS_CONFIG__";

/// The script for exactly these modules, given in any order. `None` if the set is empty or names
/// a module that there is not, or not beside others.
pub(crate) fn script<S: AsRef<str>>(modules: &[S]) -> Option<&'static str> {
    if let [dialect] = modules {
        match dialect.as_ref() {
            "engine.io" => return Some(include_str!("../client/engine.io.js")),
            "sockjs" => return Some(include_str!("../client/sockjs.js")),
            "browserchannel" => return Some(include_str!("../client/browserchannel.js")),
            _ => {}
        }
    }
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
        for name in DIALECTS {
            let found = script(&[name]).unwrap();
            assert_eq!(found.matches(TOKEN).count(), 1, "{name}");
            assert!(!seen.contains(&found), "{name}");
            seen.push(found);
            assert_eq!(script(&["websocket", name]), None);
        }
        assert_eq!(script(&["websocket", "websocket"]), script(&["websocket"]));
        assert_eq!(script::<&str>(&[]), None);
        assert_eq!(script(&["websocket", "pigeon"]), None);
    }
}
