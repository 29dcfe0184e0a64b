//! What the processor is: family, model, and the instructions that decide how fast products are.

use crate::kernel::Product;

/// Family and model, which tell generations apart that share a brand name.
pub fn family() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    {
        let signature = std::arch::x86_64::__cpuid(1).eax;
        let field = |from: u32, bits: u32| (signature >> from) & ((1 << bits) - 1);
        let (base, extended) = (field(8, 4), field(20, 8));
        // as the makers define it: the extended parts count in some families only
        let family = if base == 15 { base + extended } else { base };
        let model = field(4, 4) + if matches!(base, 6 | 15) { field(16, 4) << 4 } else { 0 };
        Some(format!("family {family} model {model}"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Those of the instructions for products that it has; of AMX only if the system permits it and it is
/// not switched off.
pub fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let amx = |bit: u32| {
            Product::of_this_processor() == Product::Tiles && std::arch::x86_64::__cpuid_count(7, 0).edx >> bit & 1 == 1
        };
        let known = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
            ("amx_bf16", amx(22)),
            ("amx_int8", amx(25)),
        ];
        known
            .into_iter()
            .filter_map(|(name, has)| has.then_some(name))
            .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// Family, model and instructions in words; None where they are not known.
pub fn words() -> Option<String> {
    Some(format!("{}, {}", family()?, features().join(" ")))
}
