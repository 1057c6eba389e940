// The commands of the ridge program. Each add_*() puts one subcommand on the parser; its work is
// done in the callback.
#pragma once

namespace CLI {
class App;
}

namespace ridge::tools {

void add_calibrate_command(CLI::App& app);
void add_check_command(CLI::App& app);
void add_completion_command(CLI::App& app);
void add_cost_command(CLI::App& app);
void add_explain_command(CLI::App& app);
void add_fit_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_list_command(CLI::App& app);
void add_manual_command(CLI::App& app);
void add_merge_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_reproduce_command(CLI::App& app);
void add_schema_command(CLI::App& app);
void add_show_command(CLI::App& app);
void add_simulate_command(CLI::App& app);
void add_sparsity_command(CLI::App& app);
void add_support_command(CLI::App& app);
void add_sweep_command(CLI::App& app);

}  // namespace ridge::tools
