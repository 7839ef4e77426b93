//! The shop that the lab's target runs: enough of an API for scenarios with logins, captures and
//! carts. Pure.

use serde_json::{Value, json};

/// The answer of the shop; the instance adds its own fields.
#[derive(Debug, PartialEq)]
pub(crate) struct ShopAnswer {
    pub status: u16,
    pub body: Value,
    /// A session begins.
    pub cookie: Option<String>,
}

const PRODUCTS: u64 = 20;

/// Returns the shop's answer; `None` if the path is not the shop's.
pub(crate) fn page(method: &str, path: &str, body: &[u8]) -> Option<ShopAnswer> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let page = |status, body| {
        Some(ShopAnswer {
            status,
            body,
            cookie: None,
        })
    };
    match (method, path) {
        ("POST", "/api/login") => {
            let user = said["user"].as_str().unwrap_or("guest").to_owned();
            let cookie = Some(format!(
                "session={}; Path=/; HttpOnly",
                crc32fast::hash(user.as_bytes())
            ));
            Some(ShopAnswer {
                status: 200,
                body: json!({ "user": user, "token": format!("token-of-{user}") }),
                cookie,
            })
        }
        ("GET", "/api/products") => {
            let item =
                |id| json!({ "id": id, "name": format!("thing {id}"), "in_stock": id % 5 != 0 });
            page(
                200,
                json!({ "items": (1..=PRODUCTS).map(item).collect::<Vec<_>>() }),
            )
        }
        ("POST", "/api/cart") => page(
            201,
            json!({ "cart": said["product"].as_u64().unwrap_or(1) * 100 }),
        ),
        ("POST", "/api/checkout") => page(201, json!({ "order": said["cart"].clone() })),
        ("GET", path) => match path.strip_prefix("/api/products/")?.parse::<u64>() {
            Ok(id) if (1..=PRODUCTS).contains(&id) => {
                page(200, json!({ "id": id, "price": id * 3 }))
            }
            _ => page(404, json!({ "error": "no such product" })),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_answers_what_its_scenario_asks() {
        let seen = |method, path, body: &str| {
            page(method, path, body.as_bytes()).map(|page| (page.status, page.body))
        };
        assert_eq!(
            seen("GET", "/api/products", "").unwrap().1["items"][19]["id"],
            20
        );
        assert_eq!(
            seen("GET", "/api/products/7", ""),
            Some((200, json!({ "id": 7, "price": 21 })))
        );
        assert_eq!(seen("GET", "/api/products/21", "").unwrap().0, 404);
        assert_eq!(
            seen("POST", "/api/cart", "{\"product\": 7}"),
            Some((201, json!({ "cart": 700 })))
        );
        assert_eq!(seen("GET", "/", ""), None);
        assert!(
            page("POST", "/api/login", b"{\"user\": \"ada\"}")
                .unwrap()
                .cookie
                .unwrap()
                .starts_with("session=")
        );
    }
}
