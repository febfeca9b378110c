//! The shop of eleven services, clicked through as a browser would.

use std::collections::BTreeMap;

use crate::support::bundles::bundles;
use crate::support::http1::{Connection, Reply, Request};
use crate::support::root;
use crate::support::server::Server;

const SERVICES: [&str; 11] = [
    "ads",
    "auth",
    "cart",
    "catalogue",
    "checkout",
    "currency",
    "email",
    "frontend",
    "payment",
    "recommendation",
    "shipping",
];

const CHECKOUT: &str = "email=someone%40example.com&name=Robin&street=Lindenweg+12&city=Hamburg\
    &postcode=20095&country=DE&cardYear=2099&cardMonth=12&cardCode=123&cardNumber=";

/// Somebody with a browser: it keeps cookies and follows redirections.
struct Visitor {
    connection: Connection,
    cookies: BTreeMap<String, String>,
}

/// The table of a cart or of an order. Amounts are whole numbers of the currency's smallest units.
#[derive(Debug, PartialEq, Eq)]
struct Bill {
    lines: Vec<(String, u64, u64)>,
    shipping: u64,
    total: u64,
}

impl Visitor {
    fn to(server: &Server) -> Self {
        Visitor {
            connection: server.connect(),
            cookies: BTreeMap::new(),
        }
    }

    fn get(&mut self, target: &str) -> Reply {
        self.send(Request::new("GET", target))
    }

    fn post(&mut self, target: &str, form: &str) -> Reply {
        let kind = "application/x-www-form-urlencoded";
        self.send(
            Request::new("POST", target)
                .header("content-type", kind)
                .body(form),
        )
    }

    fn send(&mut self, request: Request) -> Reply {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let reply = self
            .connection
            .send(&request.header("cookie", pairs.join("; ")));
        for cookie in reply.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        match reply.header("location") {
            Some(place) => self.get(place),
            None => reply,
        }
    }
}

#[test]
fn the_boutique_sells_in_every_currency_and_its_prices_add_up() {
    let folders = SERVICES.map(|service| format!("services/examples/boutique/{service}"));
    let app = root().join("services/examples/boutique/app.toml");
    let server = Server::start(&app, &bundles(&folders.each_ref().map(String::as_str)));
    let mut visitor = Visitor::to(&server);

    let shelves = visitor.get("/");
    let links = shelves.text().matches("<li><a href=\"/product/").count();
    assert_eq!((shelves.status, links), (200, 12), "{}", server.log());
    let found = visitor.get("/search?q=stoneware+lip");
    assert_eq!(found.text().matches("<li><a href=\"/product/").count(), 1);
    assert!(visitor.get("/product/anvil").status == 404);

    visitor.post("/cart", "productId=tide-bowl&quantity=2");
    visitor.post("/cart", "productId=seed-box");
    visitor.post("/cart", "productId=tide-bowl");
    // 32.00 and 48.00 dollars at the shop's rates, and 4.90 for shipping with 0.60 for each piece.
    for (currency, bowl, seeds, shipping) in [
        ("USD", 3200, 4800, 730),
        ("EUR", 2759, 4138, 629),
        ("JPY", 4714, 7070, 1075),
        ("KWD", 9782, 14674, 2232),
    ] {
        let cart = visitor.post("/currency", &format!("currency={currency}&back=/cart"));
        assert!(cart.text().contains("Cart <b>4</b>"), "{}", cart.text());
        let expected = Bill {
            lines: vec![
                ("Tide Bowl".to_owned(), 3, 3 * bowl),
                ("Seed Box".to_owned(), 1, seeds),
            ],
            shipping,
            total: 3 * bowl + seeds + shipping,
        };
        assert_eq!(bill(&cart, currency), expected);
    }

    // A cart is its visitor's alone.
    let mut thief = Visitor::to(&server);
    thief.get("/");
    thief
        .cookies
        .insert("cart".to_owned(), visitor.cookies["cart"].clone());
    assert!(thief.get("/cart").text().contains("Your cart is empty"));

    let in_cart = bill(&visitor.get("/cart"), "KWD");
    for (card, said) in [
        ("4242424242424241", "That is no card number."),
        ("6011111111111117", "We do not take cards of that brand."),
        (
            "378282246310005",
            "The security code does not fit the card.",
        ),
        ("", "Please give a card number."),
    ] {
        let refused = visitor.post("/checkout", &format!("{CHECKOUT}{card}"));
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains(said), "{}", refused.text());
    }
    let order = visitor.post("/checkout", &format!("{CHECKOUT}4242+4242+4242+4242"));
    assert_eq!(order.status, 200, "{}\n{}", order.text(), server.log());
    assert!(order.text().contains("<strong id=\"tracking\">CK"));
    assert_eq!(bill(&order, "KWD"), in_cart);
    assert!(visitor.get("/cart").text().contains("Your cart is empty"));
    assert_eq!(server.status()["sets"][0]["pins"], 0, "{}", server.status());
}

/// Reads the table of a page: a row for each product, then shipping, then the total.
fn bill(page: &Reply, currency: &str) -> Bill {
    let html = page.text();
    let rows = html.split("<tr").skip(2).map(|row| {
        let cells: Vec<_> = row
            .split("<td")
            .skip(1)
            .map(|cell| text(&format!("<td{cell}")))
            .collect();
        let (amount, code) = cells.last().unwrap().split_once(' ').unwrap();
        assert_eq!(code, currency);
        let minor: u64 = amount.replace('.', "").parse().unwrap();
        (cells, minor)
    });
    let mut rows: Vec<_> = rows.collect();
    let (_, total) = rows.pop().unwrap();
    let (_, shipping) = rows.pop().unwrap();
    let lines = rows
        .into_iter()
        .map(|(cells, minor)| (cells[0].clone(), cells[1].parse().unwrap(), minor))
        .collect();
    Bill {
        lines,
        shipping,
        total,
    }
}

/// What is left of a piece of HTML without its tags, up to the end of its first cell.
fn text(html: &str) -> String {
    let cell = html.split("</td>").next().unwrap();
    let parts = cell.split('<').filter_map(|part| part.split_once('>'));
    parts.map(|(_, text)| text).collect()
}
