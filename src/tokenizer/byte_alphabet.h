// The alphabet in which byte-level BPE vocabularies are stored: each byte is one printable
// character, itself where that is printable Latin-1, else the next of U+0100, U+0101, ...
// (GPT-2, "Language Models are Unsupervised Multitask Learners").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace prefold {

// The bytes that token (UTF-8) spells; nothing if it has a character outside the alphabet.
std::optional<std::string> bytes_of_alphabet(std::string_view token);

// Appends bytes spelled in the alphabet, and the spelling of one byte.
void append_in_alphabet(std::string_view bytes, std::string& out);
std::string_view spelling_of_byte(unsigned char byte);

}  // namespace prefold
