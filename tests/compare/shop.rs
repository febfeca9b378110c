//! What visitors do, and what they must see. The mix is that of the Online Boutique's own load
//! generator.

use fastrand::Rng;

/// What a visitor does, and how often among all that visitors do.
const MIX: [(Visit, u32); 6] = [
    (Visit::Index, 1),
    (Visit::SetCurrency, 2),
    (Visit::Browse, 10),
    (Visit::AddToCart, 2),
    (Visit::ViewCart, 3),
    (Visit::Checkout, 1),
];
const PRODUCTS: [&str; 12] = [
    "harbour-mug",
    "tide-bowl",
    "copper-kettle",
    "ash-board",
    "reading-lamp",
    "hall-clock",
    "linen-throw",
    "fig-candle",
    "field-bag",
    "wool-scarf",
    "garden-shears",
    "seed-box",
];
const CURRENCIES: [&str; 6] = ["EUR", "USD", "JPY", "CAD", "GBP", "TRY"];
const QUANTITIES: [u32; 6] = [1, 2, 3, 4, 5, 10];

#[derive(Clone, Copy)]
enum Visit {
    Index,
    SetCurrency,
    Browse,
    AddToCart,
    ViewCart,
    Checkout,
}

/// A request, and the answer that is right.
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) form: String,
    /// The status, and what the page must have.
    pub(crate) status: u16,
    pub(crate) has: &'static str,
}

/// The requests of one visit, redirections included.
pub(crate) fn visit(rng: &mut Rng) -> Vec<Step> {
    let mut at = rng.u32(0..MIX.iter().map(|(_, weight)| weight).sum());
    let chosen = MIX.iter().find(|(_, weight)| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    match chosen.map_or(Visit::Browse, |(visit, _)| *visit) {
        Visit::Index => vec![index()],
        Visit::SetCurrency => {
            let form = format!("currency={}&back=/", pick(rng, &CURRENCIES));
            vec![post("/currency", form), index()]
        }
        Visit::Browse => vec![product(pick(rng, &PRODUCTS))],
        Visit::AddToCart => add(rng),
        Visit::ViewCart => vec![get("/cart", "cart")],
        Visit::Checkout => {
            let mut steps = add(rng);
            let year = 2099 + rng.u32(0..2);
            let form = format!(
                "email=someone%40example.com&name=Robin+Vale&street=Lindenweg+12&city=Hamburg\
                 &postcode=20095&country=DE&cardNumber=4242424242424242&cardYear={year}\
                 &cardMonth=12&cardCode=123"
            );
            steps.push(Step {
                status: 200,
                has: "<strong id=\"order\">",
                ..post("/checkout", form)
            });
            steps
        }
    }
}

/// What somebody new does first.
pub(crate) fn index() -> Step {
    get("/", "<ul class=\"grid\">")
}

fn add(rng: &mut Rng) -> Vec<Step> {
    let chosen = pick(rng, &PRODUCTS);
    let form = format!("productId={chosen}&quantity={}", pick(rng, &QUANTITIES));
    vec![
        product(chosen),
        post("/cart", form),
        get("/cart", "<tr class=\"total\">"),
    ]
}

fn product(id: &str) -> Step {
    get(&format!("/product/{id}"), "<article class=\"product\">")
}

fn get(target: &str, has: &'static str) -> Step {
    Step {
        method: "GET",
        target: target.to_owned(),
        form: String::new(),
        status: 200,
        has,
    }
}

fn post(target: &str, form: String) -> Step {
    Step {
        method: "POST",
        target: target.to_owned(),
        form,
        status: 303,
        has: "",
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}
