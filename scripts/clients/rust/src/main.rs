//! Say hello, receive until something ends that, and write in JSON what the user of the client gets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

fn describe(error: &Error) -> String {
    match error {
        Error::Http(response) => format!("Error::Http {}", response.status().as_u16()),
        Error::Io(error) => format!("Error::Io {:?}", error.kind()),
        Error::Protocol(error) => format!("Error::Protocol {error:?}"),
        other => format!("{other:?}"),
    }
}

/// What a URL asks for in its query.
fn asked(url: &str, name: &str, otherwise: usize) -> usize {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(otherwise)
}

async fn talk(url: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut client = match connect_async(url).await {
        Ok((client, _)) => client,
        Err(error) => return vec![describe(&error)],
    };
    for _ in 0..asked(url, "send", 1) {
        if let Err(error) = client.send(Message::text("hello")).await {
            return vec![describe(&error)];
        }
    }
    loop {
        match timeout(Duration::from_millis(500), client.next()).await {
            Err(_) => {
                said.push("Elapsed".to_owned());
                break;
            }
            Ok(None) => {
                said.push("None".to_owned());
                return said;
            }
            Ok(Some(Err(error))) => {
                said.push(describe(&error));
                return said;
            }
            Ok(Some(Ok(Message::Close(None)))) => said.push("Close(None)".to_owned()),
            Ok(Some(Ok(Message::Close(Some(frame))))) => {
                let code = u16::from(frame.code);
                said.push(if frame.reason.is_empty() {
                    format!("Close {code}")
                } else {
                    format!("Close {code} “{}”", frame.reason)
                });
            }
            Ok(Some(Ok(message))) => {
                said.push(message.to_text().unwrap_or("binary").to_owned());
                if said.len() == asked(url, "take", 1000) {
                    break;
                }
            }
        }
    }
    // Its documentation says so: closing is done once reading has come to its end.
    let _ = client.close(None).await;
    let is_enough = said.len() == asked(url, "take", 1000);
    while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(5), client.next()).await {
        if message.is_text() && !is_enough {
            said.push(message.to_text().unwrap_or("binary").to_owned());
        }
    }
    said
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    println!("{}", serde_json::to_string(&talk(&url).await).expect("strings"));
}
