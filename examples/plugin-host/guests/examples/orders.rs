//! Takes orders: a task is the name of a fruit. It reads the price from a bucket that it may only read, and writes the
//! order and the sum of all orders to its own, in one atomic write.

use esker_plugin_guests::bindings::esker::kv::kv_store::{Durability, Operation, Store, open};
use esker_plugin_guests::bindings::{self, Guest};
use esker_plugin_guests::defaults;

struct Orders;

impl Guest for Orders {
    fn run(fruit: String) -> Result<String, String> {
        take_order(&fruit).map_err(|error| error.to_string())
    }
}

fn take_order(fruit: &str) -> Result<String, Box<dyn std::error::Error>> {
    let store = open("", defaults())?;
    let catalogue = store.bucket("catalogue")?.ok_or("there is no catalogue")?;
    let orders = store.bucket("orders")?.ok_or("there is no place for orders")?;
    let Some(price) = store.get(catalogue, fruit.as_bytes())? else {
        return Ok(format!("there is no {fruit}"));
    };
    let price: i64 = String::from_utf8(price)?.parse()?;
    let (number, _) = store.increment(orders, b"number", 1, Durability::Buffered)?;
    let sum = sum(&store, orders)? + price;
    let operations =
        [put(orders, format!("order/{number:04}"), fruit.into()), put(orders, "sum".into(), sum.to_string())];
    store.write(&operations, Durability::Synced)?;
    Ok(format!("order {number}: {fruit} for {price}, which makes {sum}"))
}

fn sum(store: &Store, orders: u32) -> Result<i64, Box<dyn std::error::Error>> {
    match store.get(orders, b"sum")? {
        Some(sum) => Ok(String::from_utf8(sum)?.parse()?),
        None => Ok(0),
    }
}

fn put(bucket: u32, key: String, value: String) -> Operation {
    Operation { bucket, key: key.into_bytes(), value: Some(value.into_bytes()) }
}

bindings::export!(Orders with_types_in bindings);
