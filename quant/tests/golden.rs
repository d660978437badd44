//! One row in every type, byte for byte. The bytes are ggml's; they hold also where no ggml is at
//! hand, and on other processors.

use swallow_quant::{GgmlType, Isa};

/// 256 weights between -1 and 1, all different, in an order without a trend.
fn row() -> Vec<f32> {
    (0..256u32)
        .map(|i| ((i * 149 + 31) % 256) as f32 / 128.0 - 0.99)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_a_row_do_not_change() {
    let row = row();
    for (ty, expected) in GOLDEN {
        for isa in Isa::available() {
            // One block, or eight numbers.
            let row = &row[..ty.block_len().clamp(8, 256)];
            let mut blocks = vec![0xaa; ty.row_bytes(row.len()).unwrap()];
            swallow_quant::quantize(ty, isa, row, &mut blocks).unwrap();
            assert_eq!(hex(&blocks), expected, "{ty} on {isa}");
        }
    }
}

#[test]
fn the_bytes_of_a_row_with_importance_do_not_change() {
    let row = row();
    let importance: Vec<f32> = (0..256u32)
        .map(|i| ((i * 83 + 7) % 64) as f32 / 16.0)
        .collect();
    for (ty, expected) in GOLDEN_WITH_IMPORTANCE {
        for isa in Isa::available() {
            let (row, importance) = (&row[..ty.block_len()], &importance[..ty.block_len()]);
            let mut block = vec![0xaa; ty.block_bytes()];
            swallow_quant::quantize_with_importance(ty, isa, importance, row, &mut block).unwrap();
            assert_eq!(hex(&block), expected, "{ty} on {isa}");
        }
    }
}

#[test]
fn the_better_bytes_of_a_row_do_not_change() {
    let row = row();
    // Columns that count 1, 2 and 3 times.
    let importance: Vec<f32> = (0..256).map(|i| (i % 3 + 1) as f32).collect();
    for (ty, importance, expected) in [
        (GgmlType::Q4_K, None, GOLDEN_BEST[0]),
        (GgmlType::Q5_K, None, GOLDEN_BEST[1]),
        (GgmlType::Q6_K, None, GOLDEN_BEST[2]),
        (GgmlType::Q4_K, Some(importance.as_slice()), GOLDEN_BEST[3]),
    ] {
        for isa in Isa::available() {
            let mut blocks = vec![0xaa; ty.row_bytes(row.len()).unwrap()];
            swallow_quant::quantize_best(ty, isa, importance, &row, &mut blocks).unwrap();
            assert_eq!(hex(&blocks), expected, "{ty} on {isa}");
        }
    }
}

/// As the test names them. These are our own bytes; ggml has no such search.
const GOLDEN_BEST: [&str; 4] = [
    "26183124fcfcfbfdfaf4f8f69b4b9b4bb24be47e07a03ac35cf68f18b14be47e07903ac35cf58f18\
     b14bd46d079029c2f69f28b14be47e07a03ac36cf58f18b14be47e079039c25cf58f18b14bd47d06\
     3ad36df68f18b14be47e07a03ac35cf58f18b14be47e079029c25cf58f18b14b7e07a03ad36df68f\
     18b14be47e07a03ac35cf58f18b14be47e079029c25cf58f",
    "38140124fafafafefef9fdfada8aea8a5a2d9669b45aa5d269964ba55a2d9669b45aa5d269964ba5\
     5a2d9669b45aa5d27497d9fd1f4164a6cafc1f317397c9ec0e406496b9fb1f316386c8ec0e305395\
     ec1f416397b9ec1e306486b9db0f315386b8ec0e306385b9db0e305286a8db0d64a6cafc1f317397\
     c9ec0e406496b9fb1f316386c8ec0e305395b9eb0e206286fd1f4164a6cafc1f317397c9ec0e4064\
     96b9fb1f316386c8ec0e305395b9eb0e",
    "8922de9733ef8834fd8942ee9a33efa8cc1177cc0166bc1166cb1056bb0066bb0fb65900b76a01b3\
     6a1dc46b1ec5681f45a9ff3399ed439afe3488ee3498ee2298d31d88c23e79e32e68d41f89c40e79\
     dd1176bc1177bb1056bb2166cc0065ab02b35b0cb46d0eb6671fc86911c26a1bb4780fc38a1ed269\
     2de4783fc3871ed22b45de78922b85ef74de38812b45de7461d8721c872dcb72d8b62d8761d8721c\
     b5df44ee08b11b75ee44a21bb5df44ee0bb21876ed47a118b2dc47ed0bb2187669938a8e6b956f95\
     6b958397978e6d69a88c",
    "02196f24f2f4f4f4f7f6fbf2d4326111b25be47e17a03ac36cf68f28b14be47e07a039c36cf58f28\
     b14bd47d079039c2f68f29b24bd57e07913ac35ce68f18a24bd46e07902ac35ce68f18a24bd46d07\
     3ad46df69f29b24be57e07a13ac36df68f19b24be57e07913ac35cf68f18b24b7e07a03ad36df68f\
     18b14be47e07a03ac35cf58f18b14be47e079029c25cf58f",
];

const GOLDEN: [(GgmlType, &str); 15] = [
    (
        GgmlType::F32,
        "a4703fbfb81ed53e48e1d6be5c8f3e3f2085bbbda4706dbf703d723ea47019bf",
    ),
    (GgmlType::F16, "fcb9a936b7b6f439dcad6cbb9233ccb8"),
    (GgmlType::BF16, "3fbfd53ed7be3f3fbcbd6dbf723e19bf"),
    (
        GgmlType::Q8_0,
        "fb1fa035ca5ff4891eb348dd73079c31c65bf0851aaf44d96f03982dc257ec8116ab",
    ),
    (
        GgmlType::Q5_0,
        "ec2b4aadd44ae417396c9fb1e406396c8eb1e306395c",
    ),
    (
        GgmlType::Q5_1,
        "c62becbb4aadd44ae417496d9fb1e4163a6c8fc1e307395c",
    ),
    (
        GgmlType::Q4_K,
        "fd17c223fffefffffff9fffaedaeed8db24be47e07a03ad36cf68f18b14be47e07a039c35cf58f18\
         b14bd47d079029c2f69f28b24be47e07a03ac36cf58f18b14be47e079039c35cf58f18b14bd47d06\
         3ad36df69f29b14be47e07a03ad36df58f18b14be47e07a039c25cf58f18b14b7e07a03ad36df68f\
         18b14be47e07a03ac35cf58f18b14be47e079029c25cf58f",
    ),
    (
        GgmlType::Q5_K,
        "ff13eb23fdfdfdfffff9fdfbed8dfd9d5a2d9669b45aa5d269964ba55a2d9669b45aa5d269964ba5\
         5a2d9669b45aa5d27497d9fd1f4164a6cafc1f317397c9ec0e406496b9fb1f316386c8ec0e305395\
         fc2f417397c9fc1e406496c9fb1f316396c8ec1e306395b9eb1e306286b8eb0d64a6cafc1f317397\
         c9ec0e406496b9fb1f316386c8ec0e305395b9eb0e206286fd1f4164a6cafc1f317397c9ec0e4064\
         96b9fb1f316386c8ec0e305395b9eb0e",
    ),
    (
        GgmlType::Q6_K,
        "87fe3269ed1198dc0387be3266ed2158cc1177cc0166bc1166cb1056bb0066bb00bb5500bb6601bb\
         6610cb6711cc6611de5623eb6730bc8901ce9612ef6734fc98dd1388ce3277ed2268dc1187cc0277\
         cd1176cc1167cb1066bb0166bc0065bb00bb5501bb6501bb6711cb6611cc6612bc7801cd8612de67\
         23ec7831cd8912de147ae14bad14bed04be107be147ae14bad14bed04be107be147ae14bad14bed0\
         bed04be107be147ae14bad14bed04be107be147ae14bad14bed04be107be147a777c858b757a828b\
         7a7a8089777c84891a0c",
    ),
    (GgmlType::Q4_0, "ec2f720ba53ec761fa831db64fe8720b943e"),
    (GgmlType::Q4_1, "0430ecbb720ba53ec750fa831cb64fd8720b943e"),
    (
        GgmlType::Q2_K,
        "ceffcfdfcfefbfdfcddfafceefcfdfbfd8b62d8761d8721c872d8b62d8b61d8762d8761d876ddb72\
         d8b62d8761d8721db218876dd772d8b62d8761d87218876d8b62d8761d8761d8721c862d8b62d876\
         cf28362c",
    ),
    (
        GgmlType::Q3_K,
        "f0c73cc31ff00f7cc33cf10ff0c73cc31ff00ff8c33ce30ff08f3cc33ef00ff839f6c6935c7c39c6\
         d6936f6c39f6c6936c6c39f9c693936c3939c6939f6c39f939c6c6936f6c39f5c6936c6d39c6c693\
         6f6c3939c6939f6c39fac693a36c39390424cdcd4024dccd0000ffff90a0",
    ),
    (GgmlType::IQ4_NL, "d61f610ca42ed750fa821dc53fe9610ca32e"),
    (
        GgmlType::IQ4_XS,
        "e60b33330f0f0f0f610ca42ed750fb821dc53fe9610ca32ef35bd128af057de23ac0169ef35cd128\
         c53fe9610ca32ed750fa821dc53fe861c0168ef35bd128af057de24ac0169ef3fb821dc53fe9610c\
         a32ed740fa821db56de23ac0168ef35bd128af057de24ac02ed750fb821dc53fe9610ca32ed740fa\
         28af047de23ac0169ef35cd128af057d",
    ),
];

const GOLDEN_WITH_IMPORTANCE: [(GgmlType, &str); 11] = [
    (
        GgmlType::Q2_K,
        "edfddddefeacddfedceeccacedeeddadd8b62d8761d8721c872dcb72d8b62d8761c87218876dcb62\
         d8b61d8761c87218721c872dcb72d8b62d8761d8721c872d8761d8721d8721d87218862d8761d872\
         1e29492b",
    ),
    (
        GgmlType::Q3_K,
        "f0c73cc31ff00f7cc33cf10ff0c73cc31ef00f78c33cf30ff08f3cc33ef00ff839f6c6935c6c39c5\
         d6936f6c39f6c6936f6c39f9c69793687d3586d35f6c39f939c6c6936f6c39f6c6936c6c39c6c693\
         6f6c39f9c6929c6d39f6c693636c3939b8f96671adc96681ffff0000ed20",
    ),
    (
        GgmlType::Q4_K,
        "23180824fcfffffffef6faf6fd5fcb5ab24bd57e07903ac35de68f19a24bd46e07902ac35ce68f18\
         a14bd46e079029b3f58e18b14ad47d069039c25ce58e18a14ad46d069029b25be57e17a14ad36c06\
         3ac35de68f19a24bd56e07902ac35de68f18a24bd46e07902ab35ce57f18a13b7e07a03ad36df68f\
         18b14be47e07a03ac35cf58f18b14be47e079029c25cf58f",
    ),
    (
        GgmlType::Q5_K,
        "24140324fbfbfffffef9fffadb8beb8b5a2d9669b45aa5d269964ba55a2d9669b45aa5d269964ba5\
         5a2d9669b45aa5d27497d9fd1f4164a6cafc1f317397c9ec0e406496b9fb1f316386c8ec0e305395\
         ec1e416496b9eb1e316386b8eb0d306385b8eb0d306385b8db0d305385a8da0d64a6cafc1f317397\
         c9ec0e406496b9fb1f316386c8ec0e305395b9eb0e206286fd1f4164a6cafc1f317397c9ec0e4064\
         96b9fb1f316386c8ec0e305395b9eb0e",
    ),
    (
        GgmlType::Q6_K,
        "87fe3269ed1198dc0387be3276ed2158cc1276cc0167bb1167cb1155bb0165bb0fbb5400bc6501ba\
         6610cb6710cc6511de5623eb6730bc8901ce9612ef6734fc98dd1388ce3277ed2268dd1187cc0277\
         bd2166dc1157cb0076bb0166ac1055cb00cb5511ab6501bb7601cb5611dc6622bc7801cd8612de67\
         23ec7831cd8912de107ae14bad14bed04be107be147ae14bad14bed04be107be147ae14bad14bed0\
         bed04be107be147ae14bad14bed04be107be147ae14bad14bed04be107be147a888078758a857e75\
         85867f7888877878158c",
    ),
    (GgmlType::IQ4_NL, "ce1f610ca42ed750fa821dc53fe9610ca32e"),
    (
        GgmlType::IQ4_XS,
        "f38bccccf1f0f0f1610ca42ed750fa821dc53fe9610ca32ef35bd128af047de23ac0169ef35cd128\
         c53fe9610ca42ed750fa821db53fe861c0168ef35bd128af057de23ac0169ef3fb821dc53fe9610c\
         a42ed750fa821db56de23ac0168ef35cd128af057de24ac02ed750fb821dc53fe9610ca32ed740fa\
         28af047de23ac0169ef35cd128bf057d",
    ),
    (GgmlType::Q4_0, "0b30720ba53ec761fa832cb64fd8720b943e"),
    (GgmlType::Q4_1, "c02fd9bb720ca53ed760fa831db64fe9720ba43e"),
    (
        GgmlType::Q5_0,
        "d92b4aadd44ae407396c9fb1e406396c8fb1d306395c",
    ),
    (
        GgmlType::Q5_1,
        "a52bcdbb4aadd44ae407496d9fb1f4163a6c8fc1e307395c",
    ),
];
