/* cli_table.c: commands.def, as C has it. */
#include "cli_table.h"

const struct cli_command cli_table[] = {
#define GROUP(name, title) {CLI_GROUP, name, NULL, "", "", title},
#define COMMAND(words, method, arguments, show, help) {CLI_COMMAND, words, method, arguments, show, help},
#define LOCAL_COMMAND(words, function, arguments, help) {CLI_COMMAND, words, NULL, arguments, "", help},
#define ABOUT(text) {CLI_ABOUT, "", NULL, "", "", text},
#define EXAMPLE(line, text) {CLI_EXAMPLE, line, NULL, "", "", text},
#define OPTION(name, text) {CLI_OPTION, name, NULL, "", "", text},
#define GLOBAL(argument, text) {CLI_GLOBAL, "", NULL, argument, "", text},
#include "commands.def"
};
const size_t cli_table_count = sizeof(cli_table) / sizeof(cli_table[0]);
