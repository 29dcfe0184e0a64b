//! One vector for each input, and AST's own head.

use super::Vit;
use super::block::BranchFactors;
use crate::input::Input;
use crate::names::EncoderError;
use crate::pooling::Pooling;
use bridle_backends::Ops;
use burn::tensor::Tensor;

impl<B: Ops> Vit<B> {
    /// One vector for each input, [B, D] or several times D wide.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes, or the encoder has not what the pooling takes.
    pub fn pooled(&self, input: Input<B>, pooling: Pooling) -> Result<Tensor<B, 2>, EncoderError> {
        self.pooled_of(input, pooling, &[])
    }

    /// The same with factors of each block's branches, none for blocks beyond their end.
    ///
    /// # Errors
    /// As [`Vit::pooled`].
    pub fn pooled_of(
        &self,
        input: Input<B>,
        pooling: Pooling,
        kept: &[Option<BranchFactors<B>>],
    ) -> Result<Tensor<B, 2>, EncoderError> {
        self.check(pooling)?;
        let Pooling::LastCls { blocks, mean } = pooling else {
            let last = self.run(input, kept, |_, _| {})?;
            return Ok(match pooling {
                Pooling::Cls | Pooling::LastCls { .. } => token(&last, 0),
                Pooling::TwoTokens => (token(&last, 0) + token(&last, 1)) / 2.0,
                Pooling::Mean => self.mean(last),
                Pooling::MeanNorm => self.normed_mean(last),
                Pooling::ClsAndMean => Tensor::cat(vec![token(&last, 0), self.mean(last)], 1),
                Pooling::Pooler => self.pooler(token(&last, 0)),
            });
        };
        let first = self.blocks.len() - blocks;
        let mut parts = Vec::with_capacity(blocks + usize::from(mean));
        let last = self.run(input, kept, |number, tokens| {
            if number > first {
                parts.push(token(&self.finished(tokens.clone().narrow(1, 0, 1)), 0));
            }
        })?;
        if mean {
            parts.push(self.mean(last));
        }
        Ok(Tensor::cat(parts, 1))
    }

    /// What AST's own head says of each class, [B, C].
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes, or the encoder has no head.
    pub fn logits(&self, input: Input<B>) -> Result<Tensor<B, 2>, EncoderError> {
        let (Some(norm), Some(head)) = (&self.head_norm, &self.head) else {
            return Err(lacks("logits", "a head"));
        };
        let pooled = self.pooled(input, Pooling::TwoTokens)?;
        Ok(head.rows(norm.rows(pooled)))
    }

    /// Whether the encoder has what a pooling takes.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(&self, pooling: Pooling) -> Result<(), EncoderError> {
        self.config.check(pooling)
    }

    /// Of the patches [B, D].
    fn mean(&self, tokens: Tensor<B, 3>) -> Tensor<B, 2> {
        let [batch, count, dim] = tokens.dims();
        let front = self.config.prefix();
        let patches = tokens.narrow(1, front, count - front);
        patches.mean_dim(1).reshape([batch, dim])
    }

    fn normed_mean(&self, tokens: Tensor<B, 3>) -> Tensor<B, 2> {
        let mean = self.mean(tokens);
        match &self.pooled_norm {
            Some(norm) => norm.rows(mean),
            None => mean,
        }
    }

    fn pooler(&self, cls: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.pooler {
            Some(pooler) => pooler.rows(cls).tanh(),
            None => cls,
        }
    }
}

/// [B, T, D] to [B, D].
fn token<B: Ops>(tokens: &Tensor<B, 3>, index: usize) -> Tensor<B, 2> {
    let [batch, _, dim] = tokens.dims();
    tokens.clone().narrow(1, index, 1).reshape([batch, dim])
}

fn lacks(pooling: &str, what: &str) -> EncoderError {
    EncoderError::Setting {
        key: "pooling".to_owned(),
        value: pooling.to_owned(),
        reason: format!("this encoder has not {what}"),
    }
}

impl super::config::VitConfig {
    /// Whether the encoder has what a pooling takes.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(&self, pooling: Pooling) -> Result<(), EncoderError> {
        let word = pooling.to_string();
        let needs = |has: bool, what: &str| if has { Ok(()) } else { Err(lacks(&word, what)) };
        match pooling {
            Pooling::Cls | Pooling::ClsAndMean => needs(self.cls, "a cls token"),
            Pooling::TwoTokens => needs(self.cls && self.distillation, "a cls and a distillation token"),
            Pooling::Mean => Ok(()),
            Pooling::MeanNorm => needs(self.pooled_norm, "a norm of the mean"),
            Pooling::LastCls { blocks, .. } => {
                needs(self.cls, "a cls token")?;
                needs((1..=self.depth).contains(&blocks), &format!("{blocks} blocks"))
            }
            Pooling::Pooler => needs(self.pooler, "a pooler"),
        }
    }
}
