//! BEiT's windows by timm's names: the grid and the heads of their tables.

use super::sizes::shape_error;
use crate::names::{EncoderError, Taker};
use crate::vit::bias::window_rows;
use crate::vit::config::ScoreBias;
use crate::vit::words::Words;

/// The window of biases of scores, if there is one. Authors' files hold the index of a table for all blocks.
pub fn window(taker: &Taker, words: &Words, depth: usize, is_authors: bool) -> Result<ScoreBias, EncoderError> {
    let has_index = |shared: bool| {
        taker.names().any(|name| {
            let is_shared = name.starts_with("rel_pos_bias.");
            is_shared == shared && name.contains("relative_position")
        })
    };
    let shared = has_index(true);
    if !shared && !has_index(false) {
        return Ok(ScoreBias::None);
    }
    let own = |name: &str| match shared {
        true => format!("rel_pos_bias.{name}"),
        false => format!("{}attn.{name}", words.block(0, taker)),
    };
    let (table, index) = (own("relative_position_bias_table"), own("relative_position_index"));
    let root = |square: usize| Some(square.isqrt()).filter(|root| *root > 0 && root * root == square);
    let of_index = match taker.shape(&index) {
        Some([tokens, same]) if tokens == same => tokens.checked_sub(1).and_then(root),
        _ => None,
    };
    // of the first block whose table is a square's
    let tables = (0..if shared { 1 } else { depth }).map(|number| match shared {
        true => table.clone(),
        false => format!("{}attn.relative_position_bias_table", words.block(number, taker)),
    });
    let of_table = tables.filter_map(|name| taker.shape(&name)).find_map(|shape| {
        let side = shape.first()?.checked_sub(3).and_then(root)?.div_ceil(2);
        (window_rows(side, side) == shape[0]).then_some(side)
    });
    let side = match (of_index, of_table) {
        (None, None) if !taker.has(&table) => return Err(taker.missing(&table, |shape| shape.len() == 2)),
        (None, None) => {
            let shape = taker.shape(&table).unwrap_or_default();
            let side = shape
                .first()
                .map_or(0, |rows| rows.saturating_sub(3).isqrt().div_ceil(2));
            let expected = vec![
                window_rows(side.max(1), side.max(1)),
                shape.last().copied().unwrap_or(0),
            ];
            return Err(shape_error(taker, &table, expected));
        }
        (None, Some(side)) if taker.has(&index) => {
            return Err(shape_error(taker, &index, vec![1 + side * side; 2]));
        }
        (Some(side), other) if other != Some(side) && taker.has(&table) => {
            let heads = taker.shape(&table).and_then(|shape| shape.last()).copied();
            let expected = vec![window_rows(side, side), heads.unwrap_or(0)];
            return Err(shape_error(taker, &table, expected));
        }
        (of_index, of_table) => of_index.or(of_table).unwrap_or(0),
    };
    let is_square = |shape: &[usize]| matches!(shape, [a, b] if a == b);
    if shared && is_authors && !taker.has(&index) {
        return Err(taker.missing(&index, is_square));
    }
    // where one block has an index, all have
    let indices: Vec<String> = (0..depth)
        .map(|number| format!("{}attn.relative_position_index", words.block(number, taker)))
        .collect();
    let missing = indices.iter().find(|name| !taker.has(name));
    if let Some(missing) = missing.filter(|_| indices.iter().any(|name| taker.has(name))) {
        return Err(taker.missing(missing, is_square));
    }
    Ok(ScoreBias::Window {
        rows: side,
        columns: side,
        shared,
    })
}

/// The heads that a window's tables have.
pub fn window_heads(taker: &Taker, words: &Words) -> Option<(&'static str, usize)> {
    let [shared, own] = words.window;
    let own = format!("{}{own}", words.block(0, taker));
    let shape = taker.shape(shared).or_else(|| taker.shape(&own))?;
    shape.get(1).map(|heads| ("relative_position_bias_table", *heads))
}
